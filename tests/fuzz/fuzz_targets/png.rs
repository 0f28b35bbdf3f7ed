//! Beside what an ordinary test can ask, this one has another reader of PNG: what ours reads, both read alike.

#![no_main]

#[path = "../checks/mod.rs"]
mod checks;

use tapegrad::image::GrayImage;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::png::check(bytes, &agrees));

fn agrees(file: &[u8], ours: &GrayImage) {
    let mut reader =
        png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("what we read, others read");
    let mut pixels = vec![0; reader.output_buffer_size().expect("small enough")];
    let info = reader.next_frame(&mut pixels).expect("what we read, others read");
    assert_eq!((info.width as usize, info.height as usize), (ours.width(), ours.height()));
    let gray = match info.color_type {
        png::ColorType::Grayscale => pixels,
        _ => pixels.chunks_exact(3).map(luma).collect(),
    };
    assert_eq!(ours.to_bytes(), gray);
}

/// BT.601 in whole numbers; the weights are 65536 in all.
fn luma(rgb: &[u8]) -> u8 {
    let [red, green, blue] = [0, 1, 2].map(|channel| u32::from(rgb[channel]));
    (f64::from(red * 19595 + green * 38470 + blue * 7471) / 65536.0).round() as u8
}
