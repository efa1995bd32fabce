//! The value classes of `bson`, ready to be made without running their Python constructors: a decoder that runs
//! no Python code is faster and may hold the garbage collector off. The classes stay PyMongo's own.
//!
//! `bson.ObjectId` and its like keep their state in `__slots__`. A slot's place in the object is read from the
//! class at start-up; where it is not an ordinary slot, the attribute is set the ordinary way.

use super::once::Once;
use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDateTime, PyInt, PyString, PyType};

use super::errors::{Made, Raised};
use super::imports::{self, Import};
use super::object::{intern, owned};

pub struct Classes {
    pub object_id: SlotClass<1>,
    pub timestamp: SlotClass<2>,
    pub decimal128: SlotClass<2>,
    pub regex: SlotClass<2>,
    pub datetime_ms: SlotClass<1>,
    pub uuid: SlotClass<2>,
    /// collection, id, database, further fields
    pub db_ref: SlotClass<4>,
    /// contents, codec options, what was decoded so far
    pub raw_document: SlotClass<3>,
    pub int64: Int64Class,
    pub binary: ValueSubclass,
    pub code: ValueSubclass,
    pub min_key: Py<PyAny>,
    pub max_key: Py<PyAny>,
    datetime: Py<PyType>,
    pub uuid_unknown_safety: Py<PyAny>,
    pub bson_utc: Py<PyAny>,
    pub standard_utc: Py<PyAny>,
    pub key_id: Py<PyString>,
}

impl Classes {
    pub fn get(py: Python<'_>) -> PyResult<&'static Classes> {
        static CLASSES: Once<Classes> = Once::new();
        CLASSES.get_or_try_init(py, || {
            // A first look-up runs Python's import machinery: not in the middle of decoding, nor without memory.
            for import in [
                &imports::INVALID_BSON,
                &imports::INVALID_DOCUMENT,
                &imports::INVALID_STRING_DATA,
                &imports::MAPPING,
                &imports::PATTERN,
                &imports::UUID,
            ] {
                import.get(py)?;
            }
            // pyo3 makes this class when it first fetches an error, and waits for itself for ever if making it
            // fails: as it does when that error is the recursion limit, met in a deeply nested document.
            py.get_type::<pyo3::panic::PanicException>();
            Ok(Classes {
                object_id: SlotClass::new(py, &imports::OBJECT_ID, ["_ObjectId__id"])?,
                timestamp: SlotClass::new(
                    py,
                    &imports::TIMESTAMP,
                    ["_Timestamp__time", "_Timestamp__inc"],
                )?,
                decimal128: SlotClass::new(
                    py,
                    &imports::DECIMAL128,
                    ["_Decimal128__high", "_Decimal128__low"],
                )?,
                regex: SlotClass::new(py, &imports::REGEX, ["pattern", "flags"])?,
                datetime_ms: SlotClass::new(py, &imports::DATETIME_MS, ["_value"])?,
                uuid: SlotClass::new(py, &imports::UUID, ["int", "is_safe"])?,
                db_ref: SlotClass::new(
                    py,
                    &imports::DB_REF,
                    ["_DBRef__collection", "_DBRef__id", "_DBRef__database", "_DBRef__kwargs"],
                )?,
                raw_document: SlotClass::new(
                    py,
                    &imports::RAW_DOCUMENT,
                    [
                        "_RawBSONDocument__raw",
                        "_RawBSONDocument__codec_options",
                        "_RawBSONDocument__inflated_doc",
                    ],
                )?,
                int64: Int64Class::new(py)?,
                binary: ValueSubclass::new(
                    imports::BINARY.class(py)?,
                    &py.get_type::<PyBytes>(),
                    "_Binary__subtype",
                )?,
                code: ValueSubclass::new(
                    imports::CODE.class(py)?,
                    &py.get_type::<PyString>(),
                    "_Code__scope",
                )?,
                min_key: imports::MIN_KEY.get(py)?.clone().unbind(),
                max_key: imports::MAX_KEY.get(py)?.clone().unbind(),
                datetime: py.get_type::<PyDateTime>().unbind(),
                uuid_unknown_safety: imports::SAFE_UUID.get(py)?.getattr("unknown")?.unbind(),
                bson_utc: imports::BSON_UTC.get(py)?.clone().unbind(),
                standard_utc: pyo3::types::PyTzInfo::utc(py)?.to_owned().into_any().unbind(),
                key_id: intern(py, "_id")?.unbind(),
            })
        })
    }
}

impl Classes {
    /// `value` if its type is datetime itself.
    #[inline(always)]
    pub fn exact_datetime<'a, 'py>(
        &self,
        value: &'a Bound<'py, PyAny>,
    ) -> Option<&'a Bound<'py, PyDateTime>> {
        if !super::object::is_exactly(value, &self.datetime) {
            return None;
        }
        // SAFETY: the class is datetime's own, so an instance of it is a `PyDateTime`.
        Some(unsafe { value.cast_unchecked() })
    }
}

/// A class whose instances are made of `N` slots.
pub struct SlotClass<const N: usize> {
    pub class: Py<PyType>,
    slots: [Slot; N],
    collected: bool,
}

struct Slot {
    name: Py<PyString>,
    offset: Option<isize>,
}

impl<const N: usize> SlotClass<N> {
    fn new(py: Python<'_>, import: &'static Import, names: [&str; N]) -> PyResult<Self> {
        let class = import.class(py)?;
        if !is_plain(class) {
            let message =
                format!("{class} derives from a built-in class, and cannot be made of slots");
            return Err(PyTypeError::new_err(message));
        }
        let mut slots = Vec::with_capacity(N);
        for name in names {
            let offset = slot_offset(class, name);
            slots.push(Slot { name: intern(py, name)?.unbind(), offset });
        }
        let Ok(slots) = <[Slot; N]>::try_from(slots) else { unreachable!("one for each name") };
        // SAFETY: a live class; reads its flags.
        let collected =
            unsafe { ffi::PyType_HasFeature(class.as_type_ptr(), ffi::Py_TPFLAGS_HAVE_GC) } != 0;
        Ok(SlotClass { class: class.clone().unbind(), slots, collected })
    }

    /// A new instance. `atomic` instances hold only strings and numbers, so they can't be part of a cycle and
    /// the collector need not visit them.
    #[inline]
    pub fn make<'py>(
        &self,
        py: Python<'py>,
        values: [Bound<'py, PyAny>; N],
        atomic: bool,
    ) -> Made<'py> {
        let object = allocate(py, self.class.bind(py), 0)?;
        if atomic && self.collected {
            // SAFETY: an instance of a type that takes part in collection; nobody else has seen it yet.
            unsafe { ffi::PyObject_GC_UnTrack(object.as_ptr().cast()) };
        }
        for (slot, value) in self.slots.iter().zip(values) {
            slot.fill(&object, value)?;
        }
        Ok(object)
    }

    /// What a slot holds; None when it is empty, not an ordinary slot, or `object` is of a subclass (which may
    /// answer the public attribute differently).
    #[inline]
    pub fn slot<'py>(&self, object: &Bound<'py, PyAny>, index: usize) -> Option<Bound<'py, PyAny>> {
        if !super::object::is_exactly(object, &self.class) {
            return None;
        }
        let offset = self.slots[index].offset?;
        // SAFETY: an exact instance of the class whose descriptor told the offset: a pointer to an object or
        // null lies there. The GIL is held until the new reference is made.
        unsafe {
            let place = object.as_ptr().byte_offset(offset).cast::<*mut ffi::PyObject>();
            Bound::from_borrowed_ptr_or_opt(object.py(), *place)
        }
    }
}

impl Slot {
    #[inline]
    fn fill<'py>(
        &self,
        object: &Bound<'py, PyAny>,
        value: Bound<'py, PyAny>,
    ) -> Result<(), Raised> {
        match self.offset {
            // SAFETY: `object` is a new exact instance of the class whose descriptor told the offset; the place
            // is null so far and takes over the reference.
            Some(offset) => unsafe {
                *object.as_ptr().byte_offset(offset).cast::<*mut ffi::PyObject>() =
                    value.into_ptr();
                Ok(())
            },
            None => set_plainly(object, self.name.bind(object.py()), &value),
        }
    }
}

/// Where instances keep the slot `name`, if it is one that may hold any object. A class is only Python, and its
/// attributes may have been replaced, by another class's slots too.
fn slot_offset(class: &Bound<'_, PyType>, name: &str) -> Option<isize> {
    let descriptor = class.getattr("__dict__").ok()?.get_item(name).ok()?;
    // SAFETY: the exact type is checked before the cast; a member descriptor points to its definition, which lives
    // as long as the class that it names. That is this class or a base of it (and we keep the class).
    unsafe {
        if ffi::Py_TYPE(descriptor.as_ptr()) != &raw mut ffi::PyMemberDescr_Type {
            return None;
        }
        let descriptor = &*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
        if ffi::PyType_IsSubtype(class.as_type_ptr(), descriptor.d_common.d_type) == 0 {
            return None;
        }
        let member = &*descriptor.d_member;
        let end = member.offset + size_of::<*mut ffi::PyObject>() as isize;
        let within = member.offset >= size_of::<ffi::PyObject>() as isize
            && end <= (*class.as_type_ptr()).tp_basicsize;
        (member.type_code == ffi::Py_T_OBJECT_EX && within).then_some(member.offset)
    }
}

/// Whether `class` and all that it derives from are made in Python, so that a zeroed instance is a valid one.
fn is_plain(class: &Bound<'_, PyType>) -> bool {
    // SAFETY: a live class, which keeps its bases; the loop reads flags and follows to `object`, where it ends.
    unsafe {
        let mut class = class.as_type_ptr();
        while class != &raw mut ffi::PyBaseObject_Type {
            if class.is_null() || ffi::PyType_HasFeature(class, ffi::Py_TPFLAGS_HEAPTYPE) == 0 {
                return false;
            }
            class = (*class).tp_base;
        }
    }
    true
}

/// `object.__setattr__`, whatever the class made of it (a UUID refuses assignments).
fn set_plainly(
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: &Bound<'_, PyAny>,
) -> Result<(), Raised> {
    // SAFETY: live references; the callee adds its own.
    match unsafe { ffi::PyObject_GenericSetAttr(object.as_ptr(), name.as_ptr(), value.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

#[inline]
fn allocate<'py>(py: Python<'py>, class: &Bound<'py, PyType>, items: isize) -> Made<'py> {
    // SAFETY: a live class; every ready type has an allocator, which makes a zeroed instance.
    unsafe {
        let class = class.as_type_ptr();
        let allocator = (*class).tp_alloc.unwrap_or(ffi::PyType_GenericAlloc);
        owned(py, allocator(class, items))
    }
}

/// `bson.Int64`, an `int` subclass without state of its own.
pub struct Int64Class {
    pub class: Py<PyType>,
    /// Whether `int` keeps 30-bit digits behind one machine word of size and sign, and the bits of that word
    /// which a subclass copies. None: make instances through `int.__new__`.
    word_mask: Option<usize>,
}

impl Int64Class {
    fn new(py: Python<'_>) -> PyResult<Self> {
        let class = derived(imports::INT64.class(py)?, &py.get_type::<PyInt>())?;
        let known = py.version_info() < (3, 15)
            && py
                .import("sys")?
                .getattr("int_info")?
                .getattr("bits_per_digit")?
                .extract::<u32>()?
                == 30
            && class.getattr("__itemsize__")?.extract::<usize>()? == size_of::<u32>()
            && class.getattr("__dictoffset__")?.extract::<isize>()? == 0;
        // From 3.12 on, bit 2 of the word marks the interpreter's shared small integers.
        let mask = if py.version_info() < (3, 12) { usize::MAX } else { !0b100 };
        Ok(Int64Class { class: class.unbind(), word_mask: known.then_some(mask) })
    }

    #[inline]
    pub fn make<'py>(&self, py: Python<'py>, value: i64) -> Made<'py> {
        let plain = super::object::integer(py, value)?;
        let Some(mask) = self.word_mask else {
            return subclass_new(&plain, int_new, self.class.bind(py));
        };
        let digits = match value.unsigned_abs() {
            0..=0x3FFF_FFFF => 1,
            0x4000_0000..=0x0FFF_FFFF_FFFF_FFFF => 2,
            _ => 3,
        };
        let object = allocate(py, self.class.bind(py), digits as isize)?;
        // SAFETY: both are int objects: a header, one word for size and sign, then the digits. `plain` has
        // `digits` of them (a zero has room for one), `object` was allocated with as many. It is new, and
        // nobody else has seen it.
        unsafe {
            let from = plain.as_ptr().byte_add(size_of::<ffi::PyObject>()).cast::<usize>();
            let to = object.as_ptr().byte_add(size_of::<ffi::PyObject>()).cast::<usize>();
            *to = *from & mask;
            std::ptr::copy_nonoverlapping(
                from.add(1).cast::<u32>(),
                to.add(1).cast::<u32>(),
                digits,
            );
        }
        Ok(object)
    }
}

/// `bson.Binary` and `bson.Code`: a bytes or str with one further attribute.
pub struct ValueSubclass {
    pub class: Py<PyType>,
    attribute: Py<PyString>,
}

impl ValueSubclass {
    fn new(class: &Bound<'_, PyType>, base: &Bound<'_, PyType>, attribute: &str) -> PyResult<Self> {
        let py = class.py();
        Ok(ValueSubclass {
            class: derived(class, base)?.unbind(),
            attribute: intern(py, attribute)?.unbind(),
        })
    }

    pub fn of_bytes<'py>(
        &self,
        bytes: &Bound<'py, PyAny>,
        attribute: &Bound<'py, PyAny>,
    ) -> Made<'py> {
        self.with_attribute(subclass_new(bytes, bytes_new, self.class.bind(bytes.py()))?, attribute)
    }

    pub fn of_text<'py>(
        &self,
        text: &Bound<'py, PyAny>,
        attribute: &Bound<'py, PyAny>,
    ) -> Made<'py> {
        self.with_attribute(subclass_new(text, text_new, self.class.bind(text.py()))?, attribute)
    }

    /// The attribute of an exact instance.
    pub fn attribute<'py>(&self, object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
        super::object::is_exactly(object, &self.class)
            .then(|| object.getattr_opt(self.attribute.bind(object.py())).ok().flatten())
            .flatten()
    }

    fn with_attribute<'py>(
        &self,
        object: Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
    ) -> Made<'py> {
        set_plainly(&object, self.attribute.bind(object.py()), value)?;
        Ok(object)
    }
}

/// A class that the constructor of `base` may make instances of.
fn derived<'py>(
    class: &Bound<'py, PyType>,
    base: &Bound<'py, PyType>,
) -> PyResult<Bound<'py, PyType>> {
    // SAFETY: two live classes; unlike `issubclass` this runs no Python code.
    match unsafe { ffi::PyType_IsSubtype(class.as_type_ptr(), base.as_type_ptr()) } {
        0 => Err(PyTypeError::new_err(format!("{class} does not derive from {base}"))),
        _ => Ok(class.clone()),
    }
}

/// `base.__new__(class, value)`, past a `__new__` or `__init__` written in Python.
fn subclass_new<'py>(
    value: &Bound<'py, PyAny>,
    base_new: fn() -> Option<ffi::newfunc>,
    class: &Bound<'py, PyType>,
) -> Made<'py> {
    let new = base_new().expect("int, bytes and str have a constructor");
    // SAFETY: `class` derives from the type whose constructor this is; the arguments are a live tuple of one
    // live object.
    unsafe {
        let arguments = owned(value.py(), ffi::PyTuple_Pack(1, value.as_ptr()))?;
        owned(value.py(), new(class.as_type_ptr(), arguments.as_ptr(), std::ptr::null_mut()))
    }
}

fn int_new() -> Option<ffi::newfunc> {
    // SAFETY: a built-in type, ready since the interpreter's start.
    unsafe { ffi::PyLong_Type.tp_new }
}

fn bytes_new() -> Option<ffi::newfunc> {
    // SAFETY: as above.
    unsafe { ffi::PyBytes_Type.tp_new }
}

fn text_new() -> Option<ffi::newfunc> {
    // SAFETY: as above.
    unsafe { ffi::PyUnicode_Type.tp_new }
}

// ---- datetime

/// The calendar fields of a datetime.
#[derive(Clone, Copy)]
pub struct Fields {
    pub year: i32,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub microsecond: u32,
}

/// `datetime.datetime(..., tzinfo=tz)`.
pub fn make_datetime<'py>(py: Python<'py>, fields: Fields, tz: Option<&Py<PyAny>>) -> Made<'py> {
    // SAFETY: `datetime_api` is not null; the callee checks the ranges and takes no reference it does not add.
    unsafe {
        let api = datetime_api(py)?;
        owned(
            py,
            (api.DateTime_FromDateAndTime)(
                fields.year,
                fields.month.into(),
                fields.day.into(),
                fields.hour.into(),
                fields.minute.into(),
                fields.second.into(),
                fields.microsecond as i32,
                tz.map_or_else(|| ffi::Py_None(), |tz| tz.as_ptr()),
                api.DateTimeType,
            ),
        )
    }
}

pub fn is_datetime(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyDateTime>()
}

/// The fields of a datetime, and its tzinfo as a bare address to compare (null for a naive one).
pub fn fields_of(datetime: &Bound<'_, PyDateTime>) -> (Fields, *const ffi::PyObject) {
    let pointer = datetime.as_ptr();
    // SAFETY: a live datetime (or an instance of a subclass, which begins like one): the accessors read its
    // fixed layout, and the address is only compared.
    unsafe {
        let fields = Fields {
            year: ffi::PyDateTime_GET_YEAR(pointer),
            month: ffi::PyDateTime_GET_MONTH(pointer) as u8,
            day: ffi::PyDateTime_GET_DAY(pointer) as u8,
            hour: ffi::PyDateTime_DATE_GET_HOUR(pointer) as u8,
            minute: ffi::PyDateTime_DATE_GET_MINUTE(pointer) as u8,
            second: ffi::PyDateTime_DATE_GET_SECOND(pointer) as u8,
            microsecond: ffi::PyDateTime_DATE_GET_MICROSECOND(pointer) as u32,
        };
        let tz = ffi::PyDateTime_DATE_GET_TZINFO(pointer);
        (fields, if tz == ffi::Py_None() { std::ptr::null() } else { tz })
    }
}

fn datetime_api(_py: Python<'_>) -> Result<&'static ffi::PyDateTime_CAPI, Raised> {
    // SAFETY: the GIL is held; once imported, the table lives as long as the process.
    unsafe {
        if ffi::PyDateTimeAPI().is_null() {
            ffi::PyDateTime_IMPORT();
        }
        ffi::PyDateTimeAPI().as_ref().ok_or(Raised)
    }
}
