//! The headers of traces: which format it is and where its columns are.

use std::cmp::Reverse;

use super::TraceFormat;

/// Where the columns are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) time: usize,
    pub(super) prompt: usize,
    pub(super) output: usize,
    pub(super) stream: Option<usize>,
    pub(super) session: Option<usize>,
    pub(super) count: usize,
}

/// What is wrong with a header, and what to do.
pub(super) struct WrongHeader {
    pub(super) what: String,
    pub(super) help: String,
}

/// The names of a format's columns: time, prompt, output.
pub(super) const fn column_names(format: TraceFormat) -> [&'static str; 3] {
    match format {
        TraceFormat::AzureLlm2023 => ["TIMESTAMP", "ContextTokens", "GeneratedTokens"],
        TraceFormat::BurstGpt => ["Timestamp", "Request tokens", "Response tokens"],
        TraceFormat::Mooncake => ["timestamp", "input_length", "output_length"],
        TraceFormat::Csv => ["arrival_s", "prompt_tokens", "output_tokens"],
    }
}

/// The format by the header of a CSV file, and its columns.
pub(super) fn read(
    header: &[String],
    format: Option<TraceFormat>,
) -> Result<(TraceFormat, Columns), WrongHeader> {
    let place = |name: &str| header.iter().position(|column| column == name);
    let shown = header.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(",");
    let in_csv = [TraceFormat::AzureLlm2023, TraceFormat::BurstGpt, TraceFormat::Csv];
    let fitting =
        |format: TraceFormat| column_names(format).iter().filter(|name| place(name).is_some()).count();
    let by_header = in_csv
        .into_iter()
        .filter(|format| fitting(*format) > 0)
        .max_by_key(|format| (fitting(*format), Reverse(*format)));
    let Some(format) = format.or(by_header) else {
        return Err(WrongHeader {
            what: format!("the header `{shown}` is that of no known format"),
            help: nearest(header, &in_csv.map(column_names).concat()).unwrap_or_default()
                + "give a CSV with the columns arrival_s,prompt_tokens,output_tokens, or one of azure-llm-2023 \
                   (TIMESTAMP,ContextTokens,GeneratedTokens), burstgpt (Timestamp,Request tokens,Response \
                   tokens), mooncake (JSON lines)",
        });
    };
    let [time, prompt, output] = column_names(format);
    let find = |name: &'static str| {
        place(name).ok_or_else(|| {
            let others: String = in_csv
                .into_iter()
                .filter(|other| *other != format && fitting(*other) == 3)
                .map(|other| format!("give the format {other}, which the header fits; "))
                .collect();
            WrongHeader {
                what: format!("the header `{shown}` has no column `{name}`"),
                help: others
                    + &nearest(header, &[name]).unwrap_or_default()
                    + &format!("{format} needs the columns {time},{prompt},{output}"),
            }
        })
    };
    let columns = Columns {
        time: find(time)?,
        prompt: find(prompt)?,
        output: find(output)?,
        stream: if format == TraceFormat::Csv { place("stream") } else { None },
        session: match format {
            TraceFormat::Csv => place("session"),
            TraceFormat::BurstGpt => place("Session ID"),
            _ => None,
        },
        count: header.len(),
    };
    Ok((format, columns))
}

/// What to rename, when a column's name is near to one of `names`.
fn nearest(header: &[String], names: &[&str]) -> Option<String> {
    let likeness =
        |column: &str, name: &str| strsim::jaro_winkler(&column.to_lowercase(), &name.to_lowercase());
    header
        .iter()
        .flat_map(|column| names.iter().map(move |name| (likeness(column, name), column, name)))
        .filter(|(likeness, ..)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, column, name)| format!("rename `{column}` to `{name}` if that is what it is; "))
}
