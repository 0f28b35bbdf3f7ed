//! The paper that reports are written on: one HTML file with its style inside.
//!
//! ```
//! use tapegrad::report::page::{Html, Page};
//!
//! let mut page = Page::new("A training", "LeNet on 3 < 4 pictures");
//! page.section("Numbers", Html::new().paragraph("All is well.").table(
//!     "Accuracy by epoch",
//!     &["epoch", "accuracy"],
//!     [["1", "0.61"], ["2", "0.68"]],
//! ));
//! let text = page.finish();
//! assert!(text.contains("<p class=\"lead\">LeNet on 3 &lt; 4 pictures</p>"));
//! assert!(!text.contains("://")); // it asks nobody for anything
//! ```
//!
//! Whatever is text goes through [`Escaped`]; only [`Html::raw`] takes markup as it is. The style is `page.css` and the
//! script `page.js` beside this file.
//!
//! Next to read: `chart.rs`.

use std::fmt::{self, Display, Write};

use super::ticks;
use crate::image::{GrayImage, png};

/// A page as it grows.
pub struct Page {
    title: String,
    lead: String,
    refresh: Option<u32>,
    style: String,
    sections: Vec<(String, Html)>,
    end: Html,
}

impl Page {
    /// A page with its title and the sentence below it.
    pub fn new(title: &str, lead: &str) -> Page {
        let (title, lead) = (title.to_string(), lead.to_string());
        Page { title, lead, refresh: None, style: String::new(), sections: Vec::new(), end: Html::new() }
    }

    /// Has an open page read itself again after so many seconds: while there is more to come.
    pub fn refresh_every(&mut self, seconds: u32) {
        self.refresh = Some(seconds);
    }

    /// Adds rules of style behind those that all pages have.
    pub fn style(&mut self, css: &str) {
        self.style.push_str(css);
    }

    /// Adds a section, which the list of contents names.
    pub fn section(&mut self, title: &str, body: Html) {
        self.sections.push((title.to_string(), body));
    }

    /// Adds data for programs at the end of the page, which no reader sees. `id` is how they find it.
    pub fn data(&mut self, id: &str, json: &str) {
        // Inside a script element only `</` could end it; in JSON a `<` is only ever inside a string.
        let json = json.replace('<', "\\u003c");
        let end = std::mem::take(&mut self.end);
        let id = Escaped(id);
        self.end = end.raw(&format!("<script type=\"application/json\" id=\"{id}\">\n{json}</script>\n"));
    }

    /// The whole file.
    pub fn finish(&self) -> String {
        let title = Escaped(&self.title);
        let refresh = self.refresh.map_or_else(String::new, |seconds| {
            format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n")
        });
        let mut contents = String::new();
        let mut body = String::new();
        for (i, (name, section)) in self.sections.iter().enumerate() {
            let (n, name, section) = (i + 1, Escaped(name), &section.0);
            let _ = writeln!(contents, "<li><a href=\"#s{n}\">{name}</a></li>");
            let _ = write!(
                body,
                "<section id=\"s{n}\" aria-labelledby=\"h{n}\">\n<h2 id=\"h{n}\">{name}</h2>\n{section}</section>\n"
            );
        }
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n{refresh}<title>{title}</title>\n\
             <link rel=\"icon\" href=\"data:,\">\n<style>\n{style}{own}</style>\n</head>\n<body>\n\
             <header>\n<h1>{title}</h1>\n<p class=\"lead\">{lead}</p>\n</header>\n\
             <nav aria-label=\"Contents\">\n<ol>\n{contents}</ol>\n</nav>\n<main>\n{body}</main>\n\
             <footer>\n<p>Made by tapegrad {version}.</p>\n</footer>\n{end}<script>\n{script}</script>\n</body>\n</html>\n",
            style = include_str!("page.css"),
            own = self.style,
            lead = Escaped(&self.lead),
            version = env!("CARGO_PKG_VERSION"),
            end = self.end.0,
            script = include_str!("page.js"),
        )
    }
}

/// A piece of a page. Every method adds one thing and gives the piece back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// An empty piece.
    pub fn new() -> Html {
        Html::default()
    }

    /// Adds markup as it is: what the caller or a chart has made, never a text from outside.
    pub fn raw(mut self, markup: &str) -> Html {
        self.0.push_str(markup);
        self
    }

    /// Adds another piece.
    pub fn then(self, other: &Html) -> Html {
        self.raw(&other.0)
    }

    /// Adds text.
    pub fn text(self, text: &str) -> Html {
        self.raw(&Escaped(text).to_string())
    }

    /// Adds a paragraph.
    pub fn paragraph(self, text: &str) -> Html {
        self.raw(&format!("<p>{}</p>\n", Escaped(text)))
    }

    /// Adds a heading below the section's own.
    pub fn heading(self, text: &str) -> Html {
        self.raw(&format!("<h3>{}</h3>\n", Escaped(text)))
    }

    /// Adds a text whose lines and spaces stay as they are.
    pub fn preformatted(self, text: &str) -> Html {
        let text = Escaped(text);
        self.raw(&format!("<pre tabindex=\"0\">{text}</pre>\n"))
    }

    /// Adds names and values side by side.
    pub fn facts(self, facts: &[(&str, String)]) -> Html {
        let list: String = facts
            .iter()
            .map(|(name, value)| {
                format!("<div><dt>{}</dt><dd>{}</dd></div>\n", Escaped(name), Escaped(value))
            })
            .collect();
        self.raw(&format!("<dl>\n{list}</dl>\n"))
    }

    /// Adds a table. The first cell of every row names it; cells that are numbers stand to the right. On a narrow
    /// screen the table scrolls by itself.
    pub fn table<R, C>(self, caption: &str, head: &[&str], rows: impl IntoIterator<Item = R>) -> Html
    where
        R: IntoIterator<Item = C>,
        C: AsRef<str>,
    {
        let caption = Escaped(caption);
        let mut out = format!(
            "<div class=\"wide\" role=\"group\" tabindex=\"0\" aria-label=\"{caption}\">\n\
             <table>\n<caption>{caption}</caption>\n<thead><tr>"
        );
        let mut numbers = Vec::new();
        let mut body = String::new();
        for row in rows {
            body.push_str("<tr>");
            for (i, cell) in row.into_iter().enumerate() {
                let cell = cell.as_ref();
                let number = cell.replace('−', "-").trim_end_matches('%').parse::<f64>().is_ok();
                if numbers.len() <= i {
                    numbers.push(number);
                }
                let class = if number { " class=\"n\"" } else { "" };
                let cell = Escaped(cell);
                let _ = match i {
                    0 => write!(body, "<th scope=\"row\"{class}>{cell}</th>"),
                    _ => write!(body, "<td{class}>{cell}</td>"),
                };
            }
            body.push_str("</tr>\n");
        }
        for (i, name) in head.iter().enumerate() {
            let class = if numbers.get(i) == Some(&true) { " class=\"n\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", Escaped(name));
        }
        let _ = write!(out, "</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n");
        self.raw(&out)
    }

    /// Adds a grey picture, each pixel a square of `scale` points, with `alt` for those who do not see it.
    ///
    /// # Panics
    /// Where the picture is too large for a PNG file: 2^28 pixels.
    #[track_caller]
    pub fn picture(self, image: &GrayImage, scale: usize, alt: &str) -> Html {
        self.image(image, scale, alt, "")
    }

    /// A picture of numbers: black is the first of `ends`, white the second. The page's script shows the number under the
    /// pointer, or, with the arrow keys, of any pixel: to one part in 255 of the range, which is what the picture has.
    ///
    /// # Panics
    /// As [`picture`](Html::picture).
    #[track_caller]
    pub fn measured_picture(self, image: &GrayImage, scale: usize, alt: &str, ends: (f64, f64)) -> Html {
        let (low, high) = (ticks::digits(ends.0, 6), ticks::digits(ends.1, 6));
        self.image(image, scale, alt, &format!(" tabindex=\"0\" data-low=\"{low}\" data-high=\"{high}\""))
            .raw("<output></output>\n")
    }

    #[track_caller]
    fn image(self, image: &GrayImage, scale: usize, alt: &str, more: &str) -> Html {
        let Ok(bytes) = png::encode(image, 1) else {
            panic!("picture: more than 2^28 pixels are no picture of a page")
        };
        let (width, height) = (image.width() * scale, image.height() * scale);
        self.raw(&format!(
            "<img class=\"pixels\" width=\"{width}\" height=\"{height}\" alt=\"{}\"{more} src=\"data:image/png;base64,{}\">\n",
            Escaped(alt),
            base64(&bytes)
        ))
    }

    /// Adds a figure: a drawing and the sentence that says what to see in it.
    pub fn figure(self, drawing: &str, caption: &str) -> Html {
        self.raw(&format!("<figure>\n{drawing}<figcaption>{}</figcaption>\n</figure>\n", Escaped(caption)))
    }

    /// Adds pieces side by side, as many as the screen is wide enough for.
    pub fn grid(self, pieces: &[Html]) -> Html {
        let mut out = self.raw("<div class=\"grid\">\n");
        for piece in pieces {
            out = out.raw("<div>\n").then(piece).raw("</div>\n");
        }
        out.raw("</div>\n")
    }

    /// Adds a piece that is folded away behind a line to click on.
    pub fn folded(self, summary: &str, inside: &Html) -> Html {
        self.raw(&format!("<details>\n<summary>{}</summary>\n{}</details>\n", Escaped(summary), inside.0))
    }

    /// The markup.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text as HTML and SVG have it, in an element or in quotes.
///
/// ```
/// use tapegrad::report::page::Escaped;
/// assert_eq!(Escaped("a < b & \"c\"").to_string(), "a &lt; b &amp; &quot;c&quot;");
/// ```
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // HTML has no way to write these.
                c if c.is_control() && !matches!(c, '\n' | '\t') => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Bytes as text: RFC 4648, section 4.
///
/// ```
/// use tapegrad::report::page::base64;
/// assert_eq!((base64(b"fo").as_str(), base64(b"foobar").as_str()), ("Zm8=", "Zm9vYmFy"));
/// ```
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i)) as usize & 63];
            text.push(if i <= three.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
