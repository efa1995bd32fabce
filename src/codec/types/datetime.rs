//! Dates: milliseconds since 1970, UTC, to and from Python's proleptic Gregorian calendar.

use pyo3::prelude::*;
use pyo3::types::PyDateTime;

use crate::codec::classes::{self, Fields};
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::errors::{Made, OrRaise, Raised, as_invalid_bson, invalid_bson, type_error};
use crate::codec::object;
use crate::codec::once::name;
use crate::codec::settings::{DatetimeConversion, TimeZone};

#[inline]
pub fn decode<'py>(decoder: &Decoder<'_, 'py>, millis: i64) -> Made<'py> {
    let conversion = decoder.settings.datetime_conversion;
    match conversion {
        DatetimeConversion::Datetime => return in_range(decoder, millis),
        DatetimeConversion::Milliseconds => {}
        DatetimeConversion::Clamp | DatetimeConversion::Auto => {
            let (least, greatest) =
                limits(decoder).map_err(|raised| as_invalid_bson(decoder.py, raised))?;
            if conversion == DatetimeConversion::Clamp {
                return in_range(decoder, millis.clamp(least, greatest));
            }
            if (least..=greatest).contains(&millis) {
                return in_range(decoder, millis);
            }
        }
    }
    decoder.classes.datetime_ms.make(decoder.py, [object::integer(decoder.py, millis)?], true)
}

#[inline]
fn in_range<'py>(decoder: &Decoder<'_, 'py>, millis: i64) -> Made<'py> {
    let py = decoder.py;
    if !(LEAST..=GREATEST).contains(&millis) {
        let message = format!(
            "a date {millis} milliseconds from 1970 is out of range for datetime; \
             datetime_conversion='DATETIME_AUTO' or 'DATETIME_CLAMP' can read it"
        );
        return Err(invalid_bson(py, &message));
    }
    let fields = fields_at(millis);
    match &decoder.settings.time_zone {
        TimeZone::Naive => classes::make_datetime(py, fields, None),
        TimeZone::Utc(zone) => classes::make_datetime(py, fields, Some(zone)),
        TimeZone::Other(zone) => {
            let utc = classes::make_datetime(py, fields, Some(&decoder.classes.bson_utc))?;
            utc.call_method1(name!(py, "astimezone"), (zone,))
                .or_raise(py)
                .map_err(|raised| as_invalid_bson(py, raised))
        }
    }
}

/// What a datetime can hold in the wanted zone: its offset must not lead out of the years 1 to 9999.
#[cold]
fn limits(decoder: &Decoder<'_, '_>) -> Result<(i64, i64), Raised> {
    let TimeZone::Other(zone) = &decoder.settings.time_zone else { return Ok((LEAST, GREATEST)) };
    let py = decoder.py;
    let offset = |millis: i64| -> Result<i64, Raised> {
        let mut fields = fields_at(millis);
        if millis == GREATEST {
            fields.microsecond = 999_999;
        }
        let datetime = classes::make_datetime(py, fields, Some(&decoder.classes.bson_utc))?;
        let offset =
            zone.bind(py).call_method1(name!(py, "utcoffset"), (datetime,)).or_raise(py)?;
        if offset.is_none() {
            return Ok(0);
        }
        let Ok(offset) = offset.cast::<pyo3::types::PyDelta>() else {
            return Err(invalid_bson(py, "utcoffset() must answer a timedelta"));
        };
        use pyo3::types::PyDeltaAccess;
        let seconds = i64::from(offset.get_days()) * 86_400 + i64::from(offset.get_seconds());
        Ok(seconds * 1000 + i64::from(offset.get_microseconds()) / 1000)
    };
    let (at_least, at_greatest) = (offset(LEAST)?, offset(GREATEST)?);
    Ok((LEAST - at_least.min(0), GREATEST - at_greatest.max(0)))
}

/// An exact datetime; subclasses may compute their offset differently and take the other way.
#[inline]
pub fn encode_exact<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyDateTime>,
) -> Result<(), Raised> {
    let (fields, zone) = classes::fields_of(value);
    let known = zone.is_null()
        || std::ptr::eq(zone, encoder.classes.bson_utc.as_ptr())
        || std::ptr::eq(zone, encoder.classes.standard_utc.as_ptr());
    if !known {
        return encode(encoder, value.as_any());
    }
    encoder.write(0x09, &millis_of(fields).to_le_bytes())
}

pub fn encode<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let offset = value.call_method0(name!(py, "utcoffset")).or_raise(py)?;
    let in_utc = if offset.is_none() { value.clone() } else { value.sub(offset).or_raise(py)? };
    let Ok(in_utc) = in_utc.cast::<PyDateTime>() else {
        return Err(type_error(py, "a datetime minus its offset must be a datetime"));
    };
    encoder.write(0x09, &millis_of(classes::fields_of(in_utc).0).to_le_bytes())
}

/// A `DatetimeMS`.
pub fn encode_milliseconds<'py>(
    encoder: &mut Encoder<'_, 'py>,
    value: &Bound<'py, PyAny>,
) -> Result<(), Raised> {
    let py = encoder.py;
    let millis = encoder
        .classes
        .datetime_ms
        .slot(value, 0)
        .map_or_else(|| py.get_type::<pyo3::types::PyInt>().call1((value,)), Ok);
    let millis: i64 = millis.and_then(|millis| millis.extract()).or_raise(py)?;
    encoder.write(0x09, &millis.to_le_bytes())
}

// The day count of a civil date and back, with years that begin in March so that the leap day comes last and
// eras of 400 years that all have the same length.

fn fields_at(millis: i64) -> Fields {
    let (days, time) =
        (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY) as u32);
    let shifted = days + DAYS_TO_1970;
    let (era, of_era) = (shifted.div_euclid(DAYS_PER_ERA), shifted.rem_euclid(DAYS_PER_ERA) as u32);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era as i32 * 400 + year_of_era as i32 + i32::from(month >= 10);
    Fields {
        year,
        month: (if month < 10 { month + 3 } else { month - 9 }) as u8,
        day: day as u8,
        hour: (time / 3_600_000) as u8,
        minute: (time / 60_000 % 60) as u8,
        second: (time / 1000 % 60) as u8,
        microsecond: time % 1000 * 1000,
    }
}

fn millis_of(fields: Fields) -> i64 {
    let (month, day) = (i64::from(fields.month), i64::from(fields.day));
    let year = i64::from(fields.year) - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100
        + day_of_year
        - DAYS_TO_1970;
    let seconds =
        i64::from(fields.hour) * 3600 + i64::from(fields.minute) * 60 + i64::from(fields.second);
    days * MILLIS_PER_DAY + seconds * 1000 + i64::from(fields.microsecond / 1000)
}

const MILLIS_PER_DAY: i64 = 86_400_000;
const DAYS_PER_ERA: i64 = 146_097;
/// From the first of March of year 0.
const DAYS_TO_1970: i64 = 719_468;
/// `datetime.min` and `datetime.max`, both UTC.
const LEAST: i64 = -62_135_596_800_000;
const GREATEST: i64 = 253_402_300_799_999;
