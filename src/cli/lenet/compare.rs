//! `lenet compare`: two trainings in one page.

use super::super::args::{Args, Command, Opt};
use super::super::{Stop, note};
use crate::report::lenet::{History, compare};
use crate::{Error, file};

pub(super) const COMMAND: Command = Command {
    name: "lenet compare",
    about: "Lays two trainings over each other, in one page to look at.",
    operands: "A B",
    options: &[Opt { name: "--report", value: "FILE.html", help: "where the page goes" }],
    notes: "A and B are logs that lenet --log wrote, or pages that lenet --report wrote. Of a log with several trainings the last\n\
            one counts.",
};

pub(super) fn run(args: &Args) -> Result<(), Stop> {
    let [a, b] = args.operands() else {
        return Err(
            Error::argument("lenet compare", "two files A and B", args.operands().len().to_string()).into()
        );
    };
    let page = args.needed_path("--report")?;
    let [first, second] = [History::read(a.as_ref())?, History::read(b.as_ref())?];
    let (a, b) = (a.to_string_lossy(), b.to_string_lossy());
    file::replace(&page, compare((&a, &first), (&b, &second)).as_bytes())?;
    note(&format!("report: {}", page.display()));
    Ok(())
}
