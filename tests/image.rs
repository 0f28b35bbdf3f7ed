//! Pictures in (PGM), resized, out (terminal), and that a failed write destroys nothing. PNG is in `png.rs`.

mod oracle;
mod scratch;

use oracle::assert_close;
use oracle::golden::Golden;

use scratch::{Scratch, message};
use std::fs;
use tapegrad::image::{GrayImage, pgm, png, terminal};

fn ramp(width: usize, height: usize) -> GrayImage {
    let bytes: Vec<u8> = (0..width * height).map(|i| (i * 7 % 256) as u8).collect();
    GrayImage::from_bytes(width, height, &bytes)
}

#[test]
fn a_write_is_whole_or_leaves_what_was_there() {
    let scratch = Scratch::new("replace");
    let path = scratch.dir().join("picture.png");
    png::write(&path, &ramp(9, 9), 2).unwrap();
    let first = fs::read(&path).unwrap();
    assert_eq!(first, png::encode(&ramp(9, 9), 2).unwrap());

    // A bad argument: refused before the file is touched.
    png::write(&path, &ramp(9, 9), 0).unwrap_err();
    // A read-only file: refused, though a rename would go through.
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    let writable = permissions.clone();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let found = message(png::write(&path, &ramp(3, 3), 1), &path);
    assert_eq!(found, "a file that can be written, found a read-only file");
    fs::set_permissions(&path, writable).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);

    let found = message(png::write(scratch.dir(), &ramp(3, 3), 1), scratch.dir());
    assert_eq!(found, "a file that can be written, found a folder");
    let nowhere = scratch.dir().join("no/such/folder.png");
    message(png::write(&nowhere, &ramp(3, 3), 1), &nowhere);
    assert!(png::write("", &ramp(3, 3), 1).unwrap_err().to_string().contains("a path without a file name"));

    png::write(&path, &ramp(4, 4), 1).unwrap();
    assert_eq!(fs::read(&path).unwrap(), png::encode(&ramp(4, 4), 1).unwrap());
    let left: Vec<_> = fs::read_dir(scratch.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["picture.png"], "no temporary file stays behind");
}

/// A symbolic link stays one, and the file behind it gets the new content and keeps its permissions.
#[cfg(unix)]
#[test]
fn a_write_follows_links() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let scratch = Scratch::new("links");
    let target = scratch.file("target.png", b"old");
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    let link = scratch.dir().join("link.png");
    symlink("target.png", &link).unwrap();
    png::write(&link, &ramp(3, 3), 1).unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read(&target).unwrap(), png::encode(&ramp(3, 3), 1).unwrap());
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn pgm_reads_what_it_should() {
    let scratch = Scratch::new("pgm");
    let read = |bytes: &[u8]| {
        let image = pgm::read(scratch.file("good.pgm", bytes)).unwrap();
        (image.width(), image.height(), image.pixels().to_vec())
    };
    let picture = (3, 2, vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
    assert_eq!(read(b"P2\n3 2\n5\n0 1 2\n3 4 5\n"), picture);
    assert_eq!(read(b"P2#c\n# 9 9\r3# nine\r\n 2\t5 0 1 2 #x\n3 4\n05# end"), picture);
    assert_eq!(read(b"P5\n3 2\n5\n\x00\x01\x02\x03\x04\x05"), picture);
    // Pixels that look like white space and like a comment belong to the picture.
    assert_eq!(read(b"P5 3 1 255\n\n# "), (3, 1, vec![10.0 / 255.0, 35.0 / 255.0, 32.0 / 255.0]));
    // White over 255: two bytes, high byte first.
    assert_eq!(
        read(b"P5 3 1 65535 \xff\xff\x00\x01\x01\x00"),
        (3, 1, vec![1.0, 1.0 / 65535.0, 256.0 / 65535.0])
    );
    assert_eq!(read(b"P5 1 1 256\n\x01\x00"), (1, 1, vec![1.0]));
}

#[test]
fn hostile_pgm_is_refused() {
    let scratch = Scratch::new("hostile-pgm");
    let cases: &[(&[u8], &str)] = &[
        (b"", "a PGM picture (starts with P2 or P5), found an empty file"),
        (b"P6 1 1 255 abc", "found a PPM picture (colour)"),
        (b"P4 1 1 \x80", "found a PBM picture (black and white)"),
        (b"\x89PNG\r\n\x1a\n", "found a PNG picture"),
        (b"\xff\xd8\xff\xe0", "found a JPEG picture"),
        (b"hello", "found something else"),
        (b"P5", "the width from 1 to 65535, found the end of the file"),
        (b"P5 # only a comment", "the width from 1 to 65535, found the end of the file"),
        (b"P51 1 255\n\x00", "white space after P2 or P5, found '1' at byte 2"),
        (b"P5 0 1 255\n", "the width from 1 to 65535, found 0"),
        (b"P5 1 -1 255\n", "the height from 1 to 65535, found '-' at byte 5"),
        (b"P5 1 99999999999 255\n", "the height from 1 to 65535, found a number of 11 digits"),
        (b"P5 1 1 65536\n\x00", "the value of white from 1 to 65535, found 65536"),
        (b"P5 1 1 0\n\x00", "the value of white from 1 to 65535, found 0"),
        (b"P5 1 1 255", "white space after the header, found the end of the file"),
        (b"P5 1 1 255\x00\x00", "white space after the header, found byte 0x00 at byte 10"),
        (b"P5 4294967295 1 255\n\x00", "the width from 1 to 65535, found 4294967295"),
        (b"P5 65535 65535 255\n\x00", "at most 33554432 pixels, found 65535 x 65535"),
        (b"P5 8192 4096 255\n\x00", "33554432 bytes for 8192 x 4096 pixels, found 1 bytes after the header"),
        (b"P5 2 1 255\n\x00", "2 bytes for 2 x 1 pixels, found 1 bytes"),
        (b"P5 2 1 256\n\x00\x00", "4 bytes for 2 x 1 pixels, found 2 bytes"),
        (b"P5 1 1 255\n\x00\n", "1 bytes for 1 x 1 pixels, found 2 bytes"),
        (b"P5 1 1 7\n\x08", "pixels from 0 to 7, found 8"),
        (b"P2 8192 4096 255\n0 0 0", "8192 x 4096 pixels, found only 6 bytes of text"),
        (b"P2 3 1 255\n1 2", "3 x 1 pixels, found only 4 bytes of text"),
        (b"P2 2 1 255\n17 ", "a pixel from 0 to 255, found the end of the file"),
        (b"P2 2 1 255\n1 x", "a pixel from 0 to 255, found 'x' at byte 13"),
        (b"P2 2 1 255\n1 256", "a pixel from 0 to 255, found 256"),
        (b"P2 1 1 255\n1 2", "nothing after 1 x 1 pixels, found '2' at byte 13"),
    ];
    for (bytes, wanted) in cases {
        let path = scratch.file("bad.pgm", bytes);
        let found = message(pgm::read(&path), &path);
        assert!(found.contains(wanted), "{found:?} does not say {wanted:?}");
    }
    message(pgm::read(scratch.dir()), scratch.dir());
    let missing = scratch.dir().join("missing.pgm");
    message(pgm::read(&missing), &missing);
}

#[test]
fn the_terminal_shows_shades() {
    let shades = GrayImage::new(5, 2, vec![0.0, 0.25, 0.5, 0.75, 1.0, -3.0, 0.12, 0.13, f32::NAN, 9.0]);
    assert_eq!(terminal::draw(&shades, 10), "  ░░▒▒▓▓██\n    ░░  ██\n");
    // Half the room: two rows become one, and of the columns 3/7, 3/7, 1/7 of the nearest three are 0.16 and 0.43.
    let halves = GrayImage::new(4, 2, vec![0.1, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    assert_eq!(terminal::draw(&halves, 4), "░░▒▒\n");
    for columns in [0, 1, 2, 7, 33, 56, usize::MAX] {
        let drawn = terminal::draw(&ramp(28, 28), columns);
        let width = drawn.lines().map(|line| line.chars().count()).max().unwrap();
        let limit = if columns < 56 { columns.max(2) & !1 } else { 56 };
        assert_eq!((width, drawn.lines().count()), (limit, limit / 2), "{columns} columns");
    }
    // A tower is held by its height.
    assert_eq!(terminal::draw(&ramp(2, 1000), 40).lines().count(), 40);

    // Two rows to a line; the third row has nothing below it.
    let grey = GrayImage::new(1, 3, vec![0.0, 1.0, 0.5]);
    assert_eq!(
        terminal::draw_in_grey(&grey, 80),
        "\x1b[38;5;232;48;5;255m▀\x1b[0m\n\x1b[38;5;244m▀\x1b[0m\n"
    );
    assert_eq!(terminal::draw_in_grey(&ramp(28, 28), 14).matches('▀').count(), 14 * 7);
}

#[test]
fn a_picture_is_stretched() {
    let pixels = |values: &[f32]| GrayImage::stretched(values.len(), 1, values).pixels().to_vec();
    assert_eq!(pixels(&[-1.0, 3.0, 1.0]), [0.0, 1.0, 0.5]);
    assert_eq!(pixels(&[f32::MIN, f32::MAX, 0.0]), [0.0, 1.0, 0.5]);
    assert_eq!(pixels(&[7.0, 7.0]), [0.0, 0.0]);
    assert_eq!(pixels(&[f32::NAN, 0.0, f32::INFINITY, 2.0, f32::NEG_INFINITY]), [0.0, 0.0, 1.0, 1.0, 0.0]);
    assert_eq!(pixels(&[f32::NAN]), [0.0]);
}

/// Pillow rounds to f32 between its two passes, so it is off by that much itself.
#[test]
fn a_picture_is_resized_as_pillow_does() {
    let golden = Golden::read("pictures.txt");
    let image = |name: &str| {
        let [height, width] = *golden.shape(name) else { panic!("{name} has two axes") };
        GrayImage::new(width, height, golden.f32(name).to_vec())
    };
    for case in golden.cases("resize") {
        let (x, y) = (image(&format!("{case}.x")), image(&format!("{case}.y")));
        let found = x.resized(y.width(), y.height());
        assert_eq!((found.width(), found.height()), (y.width(), y.height()), "{case}");
        let wanted: Vec<f64> = y.pixels().iter().map(|&pixel| f64::from(pixel)).collect();
        assert_close(&case, found.pixels(), &wanted, 1e-6, 1e-6);
    }
    // The same size is the same picture, to the bit.
    let odd = GrayImage::new(2, 2, vec![0.1, f32::INFINITY, -0.0, f32::MAX]);
    assert_eq!(odd.resized(2, 2), odd);
    // Whatever the sizes, white stays white and the weights' sum is 1.
    for (old, new) in [((1, 1), (50, 40)), ((97, 3), (28, 28)), ((3, 2000), (28, 28)), ((28, 28), (1, 999))] {
        let white = GrayImage::new(old.0, old.1, vec![1.0; old.0 * old.1]).resized(new.0, new.1);
        assert!(white.pixels().iter().all(|&pixel| pixel == 1.0), "{old:?} to {new:?}");
    }
}
