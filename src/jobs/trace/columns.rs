//! Rows of job traces: what a row says, and the reading of tables line by line.

use std::io::BufRead;
use std::path::Path;

use super::gavel_trace::Throughputs;
use super::{JobTraceError, JobTraceFormat, kubernetes, published, slurm};

/// A row as it stands in the file, times in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) submit_s: f64,
    pub(super) duration_s: f64,
    pub(super) cards: u32,
    /// Thousandths of each card; 0 for whole ones.
    pub(super) card_milli: u16,
    pub(super) user: String,
    pub(super) queue: String,
    pub(super) priority: i32,
    pub(super) estimate_s: Option<f64>,
    pub(super) deadline_s: Option<f64>,
    /// Empty when any will do; several are parted by `|`.
    pub(super) accelerator_type: String,
    pub(super) cpus: f64,
    pub(super) memory_mib: f64,
    /// True when a job without cards is meant: work of the hosts alone.
    pub(super) hosts: bool,
    /// How long it takes by accelerator, where that is told.
    pub(super) durations: Vec<(String, f64)>,
}

/// Is handed every row with its line.
pub(super) type Sink<'a> = &'a mut dyn FnMut(u64, Result<Row, String>);

/// Hands every row with its line to `sink`.
pub(super) fn rows(
    reader: Box<dyn BufRead>,
    file: &Path,
    format: JobTraceFormat,
    throughputs: Option<&Path>,
    sink: Sink<'_>,
) -> Result<(), JobTraceError> {
    let one = |row: fn(&Fields<'_>) -> Result<Row, String>| move |fields: &Fields<'_>| row(fields).map(Some);
    let comma = Table { delimiter: b',', columns: None };
    match format {
        JobTraceFormat::Swf => swf(reader, file, sink),
        JobTraceFormat::Csv => {
            let names = ["id", "submit_s", "duration_s", "accelerators"];
            comma.read(reader, file, &names, sink, one(generic))
        }
        JobTraceFormat::Philly => comma.read(reader, file, &published::PHILLY, sink, one(published::philly)),
        JobTraceFormat::Helios => comma.read(reader, file, &published::HELIOS, sink, one(published::helios)),
        JobTraceFormat::OpenB => comma.read(reader, file, &published::OPENB, sink, one(published::openb)),
        JobTraceFormat::Alibaba2020 => {
            let table = Table { delimiter: b',', columns: Some(&published::ALIBABA_2020) };
            table.read(reader, file, &published::ALIBABA_2020, sink, one(published::alibaba_2020))
        }
        JobTraceFormat::Gavel => match throughputs {
            None => comma.read(reader, file, &published::GAVEL, sink, one(published::gavel)),
            Some(known) => Throughputs::read(known)?.rows(reader, file, sink),
        },
        JobTraceFormat::Slurm => {
            Table { delimiter: b'|', columns: None }.read(reader, file, &slurm::NEEDED, sink, slurm::row)
        }
        JobTraceFormat::Kubernetes => kubernetes::pods(reader, sink)
            .map_err(|error| JobTraceError::Read { file: file.to_owned(), source: error.into() }),
    }
}

fn generic(fields: &Fields<'_>) -> Result<Row, String> {
    let priority = fields.text("priority");
    let fraction = fields.optional("cards_fraction")?.unwrap_or(1.0);
    let card_milli = match (fraction * 1000.0).round() {
        1000.0 => 0,
        milli @ 1.0..1000.0 => milli as u16,
        _ => return Err(format!("`cards_fraction` is {fraction}, not above 0 and up to 1")),
    };
    let cpus = fields.optional("cpus")?.unwrap_or(0.0);
    Ok(Row {
        id: fields.text("id").to_owned(),
        submit_s: fields.number("submit_s")?,
        duration_s: fields.number("duration_s")?,
        cards: fields.whole("accelerators")?,
        card_milli,
        user: fields.text("user").to_owned(),
        queue: fields.text("queue").to_owned(),
        priority: if priority.is_empty() {
            0
        } else {
            priority.parse().map_err(|_| format!("`priority` is `{priority}`, not a whole number"))?
        },
        estimate_s: fields.optional("estimate_s")?,
        deadline_s: fields.optional("deadline_s")?,
        accelerator_type: fields.text("accelerator_type").to_owned(),
        cpus,
        memory_mib: fields.optional("memory_gib")?.unwrap_or(0.0) * 1024.0,
        hosts: cpus > 0.0,
        durations: Vec::new(),
    })
}

/// A row of a table with its header.
pub(super) struct Fields<'a> {
    pub(super) line: u64,
    header: &'a [String],
    record: &'a csv::StringRecord,
}

impl Fields<'_> {
    /// A field; empty when there is no such column.
    pub(super) fn text(&self, name: &str) -> &str {
        let place = self.header.iter().position(|column| column == name);
        place.and_then(|place| self.record.get(place)).unwrap_or_default().trim()
    }

    pub(super) fn optional(&self, name: &str) -> Result<Option<f64>, String> {
        if self.text(name).is_empty() { Ok(None) } else { self.number(name).map(Some) }
    }

    pub(super) fn number(&self, name: &str) -> Result<f64, String> {
        match self.text(name) {
            "" => Err(format!("`{name}` is missing")),
            text => text.parse().map_err(|_| format!("`{name}` is `{text}`, not a number")),
        }
    }

    pub(super) fn whole(&self, name: &str) -> Result<u32, String> {
        let number = self.number(name)?;
        if number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number) {
            return Ok(number as u32);
        }
        Err(format!("`{name}` is {number}, not a whole number of cards"))
    }
}

/// How a table is written.
struct Table {
    delimiter: u8,
    /// Its columns, where a file may come without a header.
    columns: Option<&'static [&'static str]>,
}

impl Table {
    fn read(
        &self,
        reader: Box<dyn BufRead>,
        file: &Path,
        names: &[&'static str],
        sink: Sink<'_>,
        row: impl Fn(&Fields<'_>) -> Result<Option<Row>, String>,
    ) -> Result<(), JobTraceError> {
        let wrong = |error: csv::Error| JobTraceError::Read { file: file.to_owned(), source: error.into() };
        let mut csv = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .delimiter(self.delimiter)
            .quoting(self.delimiter == b',')
            .from_reader(reader);
        let mut record = csv::StringRecord::new();
        let mut more = csv.read_record(&mut record).map_err(wrong)?;
        let mut header: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
        match self.columns {
            Some(columns) if header.first().is_none_or(|name| name != columns[0]) => {
                header = columns.iter().map(|name| (*name).to_owned()).collect();
            }
            _ => more = csv.read_record(&mut record).map_err(wrong)?,
        }
        for column in names {
            if !header.iter().any(|name| name == column) {
                let (file, columns) = (file.to_owned(), header.join(", "));
                return Err(JobTraceError::Header { file, column, columns });
            }
        }
        while more {
            let line = record.position().map_or(0, csv::Position::line);
            if let Some(row) = row(&Fields { line, header: &header, record: &record }).transpose() {
                sink(line, row);
            }
            more = csv.read_record(&mut record).map_err(wrong)?;
        }
        Ok(())
    }
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

/// `2017-10-09 07:01:55`, also with a `T` between and a zone `Z` or `+00:00` behind, in seconds since 1970.
pub(super) fn date(name: &str, text: &str) -> Result<f64, String> {
    let wrong = || format!("`{name}` is `{text}`, not a time such as 2017-10-09 07:01:55");
    let bare = text.trim_end_matches('Z');
    let bare = bare.strip_suffix("+00:00").unwrap_or(bare);
    let bare = bare.split('.').next().unwrap_or(bare);
    let numbers: Vec<i64> =
        bare.split(['-', ' ', ':', 'T']).map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
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
