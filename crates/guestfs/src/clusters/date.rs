//! Dates as DOS writes them: the years from 1980 to 2107, in steps of two seconds and of 10 ms.

use crate::node::Time;

/// A date and a time, and hundredths of a second to add; `None` if there is none or it is no date.
pub(crate) fn dos_time(date: u16, time: u16, hundredths: u8) -> Option<Time> {
    let (year, month, day) = (
        1980 + i64::from(date >> 9),
        i64::from(date >> 5 & 15),
        i64::from(date & 31),
    );
    let (hour, minute, second) = (
        i64::from(time >> 11),
        i64::from(time >> 5 & 63),
        i64::from(time & 31) * 2,
    );
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of = |month: i64| match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_date = (1..=12).contains(&month) && (1..=days_of(month)).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 58 || hundredths > 199 {
        return None;
    }
    // Of the years before this one each fourth was a leap year but for 2100.
    let years = year - 1970;
    let leaps = (years + 1) / 4 - i64::from(year > 2100);
    let months: i64 = (1..month).map(days_of).sum();
    let days = years * 365 + leaps + months + day - 1;
    Some(Time {
        seconds: days * 86_400 + hour * 3600 + minute * 60 + second + i64::from(hundredths / 100),
        nanos: u32::from(hundredths % 100) * 10_000_000,
    })
}

/// The time in UTC of one that was `quarters` of an hour ahead of it.
pub(crate) fn shifted(time: Time, quarters: i8) -> Time {
    Time {
        seconds: time.seconds - i64::from(quarters) * 900,
        ..time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: u16, month: u16, day: u16) -> u16 {
        (year - 1980) << 9 | month << 5 | day
    }

    /// The seconds are those of `date -u -d … +%s`.
    #[test]
    fn dates_are_counted_as_others_count_them() {
        for (year, month, day, seconds) in [
            (1980, 1, 1, 315_532_800),
            (1999, 12, 31, 946_598_400),
            (2000, 2, 29, 951_782_400),
            (2000, 3, 1, 951_868_800),
            (2038, 1, 20, 2_147_558_400),
            (2100, 2, 28, 4_107_456_000),
            (2100, 3, 1, 4_107_542_400),
            (2101, 1, 1, 4_133_980_800),
            (2107, 12, 31, 4_354_732_800),
        ] {
            let time = dos_time(date(year, month, day), 0, 0).unwrap();
            assert_eq!(time.seconds, seconds, "{year}-{month}-{day}");
        }
        let last = dos_time(date(2107, 12, 31), 23 << 11 | 59 << 5 | 29, 199).unwrap();
        assert_eq!((last.seconds, last.nanos), (4_354_819_199, 990_000_000));
        assert_eq!(shifted(last, -8).seconds, last.seconds + 7200);
        assert_eq!(dos_time(date(2100, 2, 29), 0, 0), None);
        for (day, time, hundredths) in [
            (0, 0, 0),
            (0x21, 24 << 11, 0),
            (0x21, 30, 0),
            (0x21, 0, 200),
        ] {
            assert_eq!(dos_time(day, time, hundredths), None);
        }
    }
}
