//! Round places on an axis, and numbers as an axis and a reader want them.
//!
//! Next to read: `heat_map.rs`.

/// Round numbers from `low` to `high`, about `count` of them, 1, 2 or 5 times a power of ten apart.
pub(super) fn linear(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    if !(rough > 0.0 && rough.is_finite()) {
        return vec![low];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(10.0 * power);
    let (first, last) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Round numbers on a logarithmic axis: powers of ten, with 2 and 5 times each where there are few.
pub(super) fn logarithmic(low: f64, high: f64) -> Vec<f64> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let every = ((last - first) / 6 + 1).max(1);
    let times: &[f64] = if last - first <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
    let inside = |tick: &f64| (low * 0.999..=high * 1.001).contains(tick);
    powers.flat_map(|power| times.iter().map(move |times| times * 10f64.powi(power))).filter(inside).collect()
}

/// A number in at most so many significant digits, without zeros at the end: 0.1, 12, 3.5e-7.
pub fn digits(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_string();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    let scientific = format!("{value:.*e}", digits.max(1) - 1);
    let Some((mantissa, power)) = scientific.split_once('e') else { return scientific };
    let power: i32 = power.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    };
    if (-5..digits.max(6) as i32).contains(&power) {
        let places = (digits as i32 - 1 - power).max(0) as usize;
        trim(&format!("{value:.places$}"))
    } else {
        format!("{}e{power}", trim(mantissa))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(linear(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(linear(1.0, 1175.0, 5), [500.0, 1000.0]);
        assert_eq!(linear(-3.0, 3.0, 4), [-2.0, 0.0, 2.0]);
        assert_eq!(linear(2.0, 2.0, 4), [2.0]);
        assert_eq!(logarithmic(0.5, 3.0), [0.5, 1.0, 2.0]);
        let decades: Vec<String> = logarithmic(1e-5, 1.0).iter().map(|tick| digits(*tick, 1)).collect();
        assert_eq!(decades, ["0.00001", "0.0001", "0.001", "0.01", "0.1", "1"]);
    }

    #[test]
    fn numbers_have_no_more_digits_than_asked() {
        for (value, text) in [
            (0.1, "0.1"),
            (1234.5678, "1235"),
            (0.000123456, "0.0001235"),
            (3.5e-7, "3.5e-7"),
            (-2.0, "-2"),
            (1e9, "1e9"),
        ] {
            assert_eq!(digits(value, 4), text);
        }
        assert_eq!(digits(2.310183525085449, 6), "2.31018");
    }
}
