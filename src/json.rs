//! JSON, as far as files need it: a reader that takes a text apart piece by piece, and the two things that are hard to write.
//!
//! The reader builds no tree. Its caller says what must come next (an object, a string, a whole number) and puts what it gets
//! where it belongs, so a text of 100 MB costs no more than what is kept of it. Nothing here calls itself, so brackets that
//! nest a million deep do no harm.
//!
//! The grammar is that of RFC 8259, strictly: no comments, no comma at the end, no `NaN`. Two keys of the same name are the
//! caller's to refuse, since only the caller knows what it has seen.
//!
//! Next to read: [`crate::tensor`]. Files in JSON are [`crate::save::safetensors`]' headers and the lines of
//! [`crate::save::log`].

use std::fmt::{self, Display, Write};

use crate::error::{Mistake, mistake};

type Parsed<T> = Result<T, Mistake>;

/// A text, and how far it has been read.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Reader<'a> {
        Reader { text, at: 0 }
    }

    /// An object; `field` is given each key and reads its value.
    pub fn object(&mut self, mut field: impl FnMut(&mut Self, String) -> Parsed<()>) -> Parsed<()> {
        self.sequence(b'{', b'}', |reader| {
            let key = reader.string()?;
            reader.expect(b':')?;
            field(reader, key)
        })
    }

    /// An array; `item` reads each of its values.
    pub fn array(&mut self, item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.sequence(b'[', b']', item)
    }

    fn sequence(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.expect(open)?;
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return self.refuse(&format!("',' or '{}'", char::from(close))),
            }
        }
    }

    /// A string, its escapes resolved.
    pub fn string(&mut self) -> Parsed<String> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        // The end first: then the memory for it is known.
        let (mut end, mut escaped) = (start, false);
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    end += 2;
                }
                Some(0x20..) => end += 1,
                _ => {
                    self.at = end.min(bytes.len());
                    return self.refuse("the rest of a string");
                }
            }
        }
        self.at = end + 1;
        let raw = &self.text[start..end];
        if !escaped {
            return Ok(raw.to_string());
        }
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let (c, length) = unescape(&rest[at..])?;
            out.push(c);
            rest = &rest[at + length..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// A whole number from 0 to 2^64 - 1, in digits alone.
    pub fn whole(&mut self) -> Parsed<u64> {
        self.peek();
        let digits = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number = &self.text[self.at..self.at + digits];
        match number.parse() {
            Ok(value) if !(number.starts_with('0') && digits > 1) => {
                self.at += digits;
                Ok(value)
            }
            _ => self.refuse("a whole number from 0 to 2^64 - 1"),
        }
    }

    /// A number, or `null` for one that JSON cannot write: NaN.
    pub fn number(&mut self) -> Parsed<f64> {
        self.peek();
        let start = self.at;
        self.skip_word();
        let word = &self.text[start..self.at];
        // Rust reads more than JSON has: "inf", "NaN", "+1", ".5".
        let digits = word.strip_prefix('-').unwrap_or(word).starts_with(|c: char| c.is_ascii_digit());
        match word.parse() {
            Ok(value) if digits => Ok(value),
            _ if word == "null" => Ok(f64::NAN),
            _ => {
                self.at = start;
                self.refuse("a number")
            }
        }
    }

    /// Any value, which is not looked at: brackets must match, strings must end.
    pub fn skip(&mut self) -> Parsed<()> {
        let mut open = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    open.push(bracket + 2); // '}' and ']' come two places later
                    self.at += 1;
                }
                Some(byte) if open.last() == Some(&byte) => {
                    open.pop();
                    self.at += 1;
                }
                Some(b',' | b':') if !open.is_empty() => self.at += 1,
                Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z') => self.skip_word(),
                _ => return self.refuse("a value"),
            }
            if open.is_empty() {
                return Ok(());
            }
        }
    }

    fn skip_word(&mut self) {
        let word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        self.at += self.text.as_bytes()[self.at..].iter().take_while(word).count();
    }

    /// Nothing more but white space.
    pub fn end(&mut self) -> Parsed<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.refuse("nothing more"),
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn expect(&mut self, wanted: u8) -> Parsed<()> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        self.refuse(&format!("'{}'", char::from(wanted)))
    }

    /// The mistake that something else than `expected` stands here.
    pub fn refuse<T>(&self, expected: &str) -> Parsed<T> {
        // `at` may lie inside a character when a string breaks off.
        let rest = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        let found = match rest {
            None if self.at >= self.text.len() => "the end of it".to_string(),
            None => format!("something else at byte {}", self.at),
            Some(c) => format!("{c:?} at byte {}", self.at),
        };
        mistake(format!("JSON with {expected}"), found)
    }
}

/// The character that the escape at the start of `text` stands for, and the length of the escape.
fn unescape(text: &str) -> Parsed<(char, usize)> {
    let simple = match text.as_bytes().get(1) {
        Some(byte @ (b'"' | b'\\' | b'/')) => Some(char::from(*byte)),
        Some(b'b') => Some('\u{8}'),
        Some(b'f') => Some('\u{c}'),
        Some(b'n') => Some('\n'),
        Some(b'r') => Some('\r'),
        Some(b't') => Some('\t'),
        _ => None,
    };
    if let Some(c) = simple {
        return Ok((c, 2));
    }
    let unit = |at: usize| -> Option<u32> {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    // Characters above U+FFFF are two units of UTF-16.
    let found = match (unit(0), unit(6)) {
        (Some(high @ 0xd800..0xdc00), Some(low @ 0xdc00..0xe000)) => {
            char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).map(|c| (c, 12))
        }
        (Some(one), _) => char::from_u32(one).map(|c| (c, 6)),
        _ => None,
    };
    let shown: String = text.chars().take(6).collect();
    found.map_or_else(|| mistake("JSON with an escape that stands for a character", format!("{shown:?}")), Ok)
}

/// A string as JSON writes it.
pub(crate) struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\0'..=' ' if c != ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                _ => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// A number as JSON writes it: the shortest digits that read back as the same `f64`. JSON has no infinities and no NaN; they
/// are `null`.
pub(crate) struct Number(pub f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finite() { write!(f, "{:?}", self.0) } else { f.write_str("null") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Option<String> {
        let mut reader = Reader::new(text);
        let string = reader.string().ok()?;
        reader.end().ok().map(|()| string)
    }

    #[test]
    fn strings_come_back_as_they_were() {
        for text in ["", "conv.0.weight", "a\"b\\c/d", "line\nbreak\ttab\u{1}\u{8}", "µ ß 猫 😀"] {
            assert_eq!(string(&Quoted(text).to_string()).as_deref(), Some(text));
        }
        assert_eq!(string(r#""\u00e4\/\b\f\r\ud83d\ude00""#).as_deref(), Some("ä/\u{8}\u{c}\r😀"));
        for wrong in [
            "",
            "\"",
            "\"a",
            "a",
            r#""\"#,
            r#""\""#,
            r#""\x""#,
            r#""\ud800""#,
            r#""\u12""#,
            r#""\u+123""#,
            "\"\n\"",
        ] {
            assert_eq!(string(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn objects_are_read_field_by_field() {
        let mut fields = Vec::new();
        let mut reader = Reader::new(" { \"a\" : [ 1 , 20 ] , \"b\" : [ ] } ");
        reader
            .object(|reader, key| {
                let mut numbers = Vec::new();
                reader.array(|reader| {
                    numbers.push(reader.whole()?);
                    Ok(())
                })?;
                fields.push((key, numbers));
                Ok(())
            })
            .unwrap();
        reader.end().unwrap();
        assert_eq!(fields, [("a".to_string(), vec![1, 20]), ("b".to_string(), vec![])]);
        for wrong in
            ["", "{", "{]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{a:1}", "{\"a\":1"]
        {
            let found = Reader::new(wrong).object(|reader, _| reader.whole().map(|_| ()));
            assert!(found.is_err(), "{wrong}");
        }
    }

    #[test]
    fn whole_numbers_are_digits_alone() {
        let whole = |text: &str| Reader::new(text).whole().ok();
        assert_eq!((whole("0"), whole("18446744073709551615")), (Some(0), Some(u64::MAX)));
        for wrong in ["", "-1", "+1", "01", "18446744073709551616", "x", "null"] {
            assert_eq!(whole(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let number = |text: &str| Reader::new(text).number().ok();
        for value in [0.0, -1.5, 1e300, 5e-324, 0.1] {
            assert_eq!(number(&Number(value).to_string()), Some(value));
        }
        assert!(number("null").is_some_and(f64::is_nan));
        for wrong in ["", "NaN", "inf", "-inf", "+1", ".5", "1-2", "true", "\"1\"", "[1]"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn skipping_goes_over_one_value() {
        for value in ["1", "-1.5e+3", "null", "\"]\"", "[]", "{\"a\":[1,{\"b\":\"}\"}],\"c\":true}"] {
            let text = format!("[{value},7]");
            let mut reader = Reader::new(&text);
            let mut seen = 0;
            let mut read = |reader: &mut Reader| {
                seen += 1;
                if seen == 1 { reader.skip() } else { reader.whole().map(|n| assert_eq!(n, 7)) }
            };
            reader.array(&mut read).unwrap();
            assert_eq!(seen, 2, "{value}");
        }
        for wrong in ["", "]", "[", "[}", "{\"a\"", ",", &"[".repeat(1 << 20)] {
            assert!(Reader::new(wrong).skip().is_err(), "{}", &wrong[..wrong.len().min(9)]);
        }
    }

    #[test]
    fn numbers_read_back_or_are_null() {
        for (number, text) in
            [(0.1, "0.1"), (1.0, "1.0"), (1e-7, "1e-7"), (f64::NAN, "null"), (-f64::INFINITY, "null")]
        {
            assert_eq!(Number(number).to_string(), text);
        }
    }
}
