//! Any bytes at all are a PGM picture or an error of one line; what is read from text is what its numbers say.

use tapegrad::image::pgm;

pub fn check(bytes: &[u8]) {
    let image = match pgm::decode(bytes) {
        Ok(image) => image,
        Err(error) => {
            assert!(!error.to_string().contains(['\n', '\r']), "{error}");
            return;
        }
    };
    let words = words(bytes);
    let number = |i: usize| words[i].parse::<u32>().unwrap();
    let (width, height, white) = (number(1) as usize, number(2) as usize, number(3));
    assert_eq!((image.width(), image.height()), (width, height));
    assert_eq!(image.pixels().len(), width * height);
    let samples: Vec<u32> = match words[0].as_str() {
        "P2" => (4..words.len()).map(number).collect(),
        "P5" if white < 256 => {
            bytes[bytes.len() - width * height..].iter().map(|&byte| byte.into()).collect()
        }
        "P5" => {
            let body = &bytes[bytes.len() - 2 * width * height..];
            body.chunks(2).map(|pair| u32::from(pair[0]) * 256 + u32::from(pair[1])).collect()
        }
        other => panic!("{other:?} was read"),
    };
    // One division in f64 and then rounded is the nearest f32, as one division in f32 must be.
    let wanted: Vec<f32> = samples.iter().map(|&s| (f64::from(s) / f64::from(white)) as f32).collect();
    assert_eq!(image.pixels(), wanted);
}

/// The text without its comments, split at white space: all of it for P2, its beginning is right for P5, too.
fn words(bytes: &[u8]) -> Vec<String> {
    let mut text = String::new();
    let mut comment = false;
    for &byte in bytes {
        comment = match byte {
            b'#' => true,
            b'\n' | b'\r' => false,
            _ => comment,
        };
        text.push(if comment || !byte.is_ascii_graphic() { ' ' } else { byte.into() });
    }
    text.split_ascii_whitespace().map(String::from).collect()
}
