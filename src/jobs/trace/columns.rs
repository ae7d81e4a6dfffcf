//! The columns of each format.

use std::io::BufRead;
use std::path::Path;

use super::{JobTraceError, JobTraceFormat};

/// A row as it stands in the file, times in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) submit_s: f64,
    pub(super) duration_s: f64,
    pub(super) cards: u32,
    pub(super) user: String,
    pub(super) queue: String,
    pub(super) priority: i32,
    pub(super) estimate_s: Option<f64>,
    pub(super) deadline_s: Option<f64>,
}

type Sink<'a> = &'a mut dyn FnMut(u64, Result<Row, String>);

/// Hands every row with its line to `sink`.
pub(super) fn rows(
    reader: Box<dyn BufRead>,
    file: &Path,
    format: JobTraceFormat,
    sink: Sink<'_>,
) -> Result<(), JobTraceError> {
    match format {
        JobTraceFormat::Swf => swf(reader, file, sink),
        JobTraceFormat::Csv => {
            let names = ["id", "submit_s", "duration_s", "accelerators"];
            table(reader, file, &names, sink, generic)
        }
        JobTraceFormat::Philly => {
            let names = ["timestamp", "duration", "num_gpus", "cluster"];
            table(reader, file, &names, sink, |fields| {
                Ok(Row {
                    id: (fields.line - 1).to_string(),
                    submit_s: date(fields.text("timestamp"))?,
                    duration_s: fields.number("duration")?,
                    cards: fields.whole("num_gpus")?,
                    queue: fields.text("cluster").to_owned(),
                    ..Row::default()
                })
            })
        }
        JobTraceFormat::Helios => {
            let names = ["job_id", "vc", "submit_s", "duration", "gpu_num"];
            table(reader, file, &names, sink, |fields| {
                Ok(Row {
                    id: fields.text("job_id").to_owned(),
                    submit_s: fields.number("submit_s")?,
                    duration_s: fields.number("duration")?,
                    cards: fields.whole("gpu_num")?,
                    queue: fields.text("vc").to_owned(),
                    ..Row::default()
                })
            })
        }
    }
}

/// Columns of the generic table that are known and mean something that is not modelled.
const NOT_BUILT: [&str; 4] = ["accelerator_type", "cards_fraction", "cpus", "memory_gib"];

fn generic(fields: &Fields<'_>) -> Result<Row, String> {
    for name in NOT_BUILT {
        let value = fields.text(name);
        let whole_card = name == "cards_fraction" && value.parse() == Ok(1.0);
        if !value.is_empty() && !whole_card {
            return Err(format!("`{name}` is not built yet"));
        }
    }
    let priority = fields.text("priority");
    Ok(Row {
        id: fields.text("id").to_owned(),
        submit_s: fields.number("submit_s")?,
        duration_s: fields.number("duration_s")?,
        cards: fields.whole("accelerators")?,
        user: fields.text("user").to_owned(),
        queue: fields.text("queue").to_owned(),
        priority: if priority.is_empty() {
            0
        } else {
            priority.parse().map_err(|_| format!("`priority` is `{priority}`, not a whole number"))?
        },
        estimate_s: fields.optional("estimate_s")?,
        deadline_s: fields.optional("deadline_s")?,
    })
}

/// A row of a table with its header.
struct Fields<'a> {
    line: u64,
    header: &'a [String],
    record: &'a csv::StringRecord,
}

impl Fields<'_> {
    /// A field; empty when there is no such column.
    fn text(&self, name: &str) -> &str {
        let place = self.header.iter().position(|column| column == name);
        place.and_then(|place| self.record.get(place)).unwrap_or_default().trim()
    }

    fn optional(&self, name: &str) -> Result<Option<f64>, String> {
        if self.text(name).is_empty() { Ok(None) } else { self.number(name).map(Some) }
    }

    fn number(&self, name: &str) -> Result<f64, String> {
        match self.text(name) {
            "" => Err(format!("`{name}` is missing")),
            text => text.parse().map_err(|_| format!("`{name}` is `{text}`, not a number")),
        }
    }

    fn whole(&self, name: &str) -> Result<u32, String> {
        let number = self.number(name)?;
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            return Ok(number as u32);
        }
        Err(format!("`{name}` is {number}, not a whole number of cards"))
    }
}

fn table(
    reader: Box<dyn BufRead>,
    file: &Path,
    names: &[&'static str],
    sink: Sink<'_>,
    row: impl Fn(&Fields<'_>) -> Result<Row, String>,
) -> Result<(), JobTraceError> {
    let wrong = |error: csv::Error| JobTraceError::Read { file: file.to_owned(), source: error.into() };
    let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(reader);
    let header: Vec<String> =
        csv.headers().map_err(wrong)?.iter().map(|name| name.trim().to_owned()).collect();
    for column in names {
        if !header.iter().any(|name| name == column) {
            let (file, columns) = (file.to_owned(), header.join(", "));
            return Err(JobTraceError::Header { file, column, columns });
        }
    }
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record).map_err(wrong)? {
        let line = record.position().map_or(0, csv::Position::line);
        sink(line, row(&Fields { line, header: &header, record: &record }));
    }
    Ok(())
}

/// Fields by their numbers in the definition of the format; -1 stands for unknown.
fn swf(reader: Box<dyn BufRead>, file: &Path, sink: Sink<'_>) -> Result<(), JobTraceError> {
    for (line, text) in (1u64..).zip(reader.lines()) {
        let text = text.map_err(|source| JobTraceError::Read { file: file.to_owned(), source })?;
        let text = text.trim();
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let number = |place: usize, name: &str| match fields.get(place - 1).map(|text| (text, text.parse())) {
            Some((_, Ok(number))) => Ok(number),
            Some((text, Err(_))) => Err(format!("{name} (field {place}) is `{text}`, not a number")),
            None => Err(format!("{name} (field {place}) is missing")),
        };
        let known = |value: f64| (value >= 0.0).then_some(value);
        let name = |place: usize| fields.get(place - 1).filter(|text| **text != "-1").map_or("", |text| text);
        let row = || {
            let run = known(number(4, "the run time")?).ok_or("the run time (field 4) is unknown")?;
            let cards = [number(8, "requested processors")?, number(5, "processors")?];
            let cards = cards.into_iter().find(|cards: &f64| *cards > 0.0).unwrap_or(0.0);
            Ok(Row {
                id: name(1).to_owned(),
                submit_s: number(2, "the time of submission")?,
                duration_s: run,
                cards: cards as u32,
                user: name(12).to_owned(),
                queue: name(15).to_owned(),
                estimate_s: known(number(9, "the requested time")?),
                ..Row::default()
            })
        };
        sink(line, row());
    }
    Ok(())
}

/// `2017-10-09 07:01:55` in seconds since 1970.
fn date(text: &str) -> Result<f64, String> {
    let wrong = || format!("`timestamp` is `{text}`, not a time such as 2017-10-09 07:01:55");
    let numbers: Vec<i64> =
        text.split(['-', ' ', ':', 'T']).map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    let [year, month, day, hour, minute, second] = numbers[..] else { return Err(wrong()) };
    let ranges = (1970..=2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !ranges || !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..=60).contains(&second) {
        return Err(wrong());
    }
    // Days since 0000-03-01 of the Gregorian calendar, with years that begin in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + day - 1;
    const DAYS_TO_1970: i64 = 719_468;
    Ok(((days - DAYS_TO_1970) * 86_400 + hour * 3600 + minute * 60 + second) as f64)
}
