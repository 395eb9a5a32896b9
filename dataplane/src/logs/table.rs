//! What a table of log events is made of, and the macro that turns a table into types: each event is a structure whose members
//! are its fields, so a line with a missing, unknown or ill-typed field does not compile. It knows no event.

/// Which part of flk says a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The gateway, in whichever process it runs.
    Dataplane,
    /// The control process.
    Control,
    /// `flk up`, besides the gateway in its process.
    Up,
}

impl Component {
    /// Its name in a line.
    pub fn name(self) -> &'static str {
        match self {
            Component::Dataplane => "dataplane",
            Component::Control => "control",
            Component::Up => "up",
        }
    }
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something happened as it should.
    Info,
    /// Something may need an operator.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// Its name in a line.
    pub fn name(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// What stands in front of the message in a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lead {
    /// These words.
    Words(&'static str),
    /// The name of a row of the start-up lines.
    Row(&'static str),
}

/// How often lines of one event, and where they name a shard of one shard, are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Always: something else bounds them, such as one start.
    Always,
    /// So many in ten seconds at most; the others are counted.
    Per10s(u32),
}

/// An event as its row of the table describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name, for programs: it never changes its meaning.
    pub name: &'static str,
    /// What it means, in one sentence.
    pub brief: &'static str,
    /// Who says it.
    pub component: Component,
    /// How much it matters.
    pub level: Level,
    /// How often it is written.
    pub rate: Rate,
    /// What stands in front of it as text.
    pub lead: Lead,
    /// Its fields, besides `time`, `level`, `component`, `event` and `message`.
    pub fields: &'static [FieldKind],
}

/// A field as the table describes it.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldKind {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub of: FieldType,
    /// Whether a line may lack it.
    pub is_optional: bool,
    /// What it means, in one sentence.
    pub brief: &'static str,
}

/// The type of a field, by the words of OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// A text.
    String,
    /// A whole number from 0.
    Int,
    /// A number.
    Double,
    /// True or false.
    Boolean,
}

impl FieldType {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::String => "string",
            FieldType::Int => "int",
            FieldType::Double => "double",
            FieldType::Boolean => "boolean",
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    String(String),
    /// A whole number from 0.
    Int(u64),
    /// A number.
    Double(f64),
    /// True or false.
    Boolean(bool),
}

/// A type that a field may have in the table.
pub trait FieldValue {
    /// Its name there.
    const TYPE: FieldType;
    /// Whether it may be missing.
    const IS_OPTIONAL: bool = false;
    /// Its value; none: it is missing.
    fn value(self) -> Option<Value>;
}

macro_rules! field_values {
    ($($type:ty => $of:ident, $value:ident => $made:expr;)*) => {
        $(impl FieldValue for $type {
            const TYPE: FieldType = FieldType::$of;
            fn value(self) -> Option<Value> {
                let $value = self;
                Some(Value::$of($made))
            }
        })*
    };
}

field_values! {
    String => String, it => it;
    &'static str => String, it => it.to_owned();
    u8 => Int, it => it.into();
    u16 => Int, it => it.into();
    u32 => Int, it => it.into();
    u64 => Int, it => it;
    usize => Int, it => it as u64;
    f64 => Double, it => it;
    bool => Boolean, it => it;
}

impl<T: FieldValue> FieldValue for Option<T> {
    const TYPE: FieldType = T::TYPE;
    const IS_OPTIONAL: bool = true;
    fn value(self) -> Option<Value> {
        self.and_then(T::value)
    }
}

/// What a line can be about. Only [`log_events!`](crate::log_events) makes types that are.
pub trait Event {
    /// Its row of the table.
    fn kind(&self) -> &'static Kind;
    /// Its fields that have values.
    fn fields(self) -> Vec<(&'static str, Value)>;
}

/// Makes a table of events, and a type for each. A row has a type, a name, the level, the rate, the lead, and the fields.
#[macro_export]
macro_rules! log_events {
    (
        $(#[doc = $table_doc:literal])*
        $component:ident in $table:ident;
        $(
            $(#[doc = $doc:literal])*
            $event:ident $name:literal $level:ident $rate:expr, $lead:expr => {
                $($(#[doc = $field_doc:literal])* $field:ident: $type:ty,)*
            }
        )*
    ) => {
        $(#[doc = $table_doc])*
        pub static $table: &[&$crate::logs::Kind] = &[$($event::KIND,)*];

        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq)]
            pub struct $event {
                $($(#[doc = $field_doc])* pub $field: $type,)*
            }

            impl $event {
                /// Its row of the table.
                pub const KIND: &'static $crate::logs::Kind = &$crate::logs::Kind {
                    name: $name,
                    brief: concat!($($doc),*).trim_ascii(),
                    component: $crate::logs::Component::$component,
                    level: $crate::logs::Level::$level,
                    rate: $rate,
                    lead: $lead,
                    fields: &[$($crate::logs::FieldKind {
                        name: stringify!($field),
                        of: <$type as $crate::logs::FieldValue>::TYPE,
                        is_optional: <$type as $crate::logs::FieldValue>::IS_OPTIONAL,
                        brief: concat!($($field_doc),*).trim_ascii(),
                    },)*],
                };
            }

            impl $crate::logs::Event for $event {
                fn kind(&self) -> &'static $crate::logs::Kind {
                    $event::KIND
                }

                fn fields(self) -> Vec<(&'static str, $crate::logs::Value)> {
                    let fields: Vec<(&'static str, Option<$crate::logs::Value>)> =
                        vec![$((stringify!($field), $crate::logs::FieldValue::value(self.$field)),)*];
                    fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
                }
            }
        )*
    };
}
