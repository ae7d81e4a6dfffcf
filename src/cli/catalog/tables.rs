//! Sheets as text.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::Value;

use super::sheet::Sheet;

const WIDTH: u16 = 120;
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

fn table(header: &[&str], right: impl Fn(usize) -> bool) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(header.iter().copied());
    for (index, column) in table.column_iter_mut().enumerate() {
        if right(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_padding((0, 1));
        if index == 0 {
            // Names are for copying: they are never broken.
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// Text that a terminal or a pipe takes: no blanks at the ends of lines, one line break at the end.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n").trim_end())
}

/// All entries, a line each.
pub fn list(sheets: &[Sheet], columns: &[(&str, &str)]) -> String {
    let header: Vec<&str> = std::iter::once("name").chain(columns.iter().map(|(head, _)| *head)).collect();
    let number = |index: usize| {
        let key = if index == 0 { "name" } else { columns[index - 1].1 };
        let figure = sheets.iter().any(|sheet| sheet.figures.iter().any(|row| row.figure == key));
        figure && !matches!(key, "egress" | "reported")
    };
    let mut table = table(&header, number);
    for sheet in sheets {
        let mut cells = vec![sheet.name.clone()];
        cells.extend(columns.iter().map(|(_, key)| cell(sheet, key)));
        table.add_row(cells);
    }
    let mut text = tidy(&table.to_string());
    let marks: String = [("~", "; ~ doubtful"), ("?", "; ? not known")]
        .iter()
        .filter(|(mark, _)| text.contains(mark))
        .map(|(_, meaning)| *meaning)
        .collect();
    let entries = if sheets.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", sheets.len()) };
    let _ = writeln!(text, "\n{entries}{marks}; with a NAME: every figure with its source, date and doubt");
    text
}

/// A word, a figure (`~` before a doubtful one, `?` for an unknown one), or nothing where neither applies.
fn cell(sheet: &Sheet, key: &str) -> String {
    if let Some(word) = sheet.word(key) {
        return word.to_owned();
    }
    let Some(row) = sheet.figures.iter().find(|row| row.figure == key) else { return String::new() };
    match &row.value {
        None => "?".to_owned(),
        Some(value) => {
            let mark = if row.doubt.is_some() { "~" } else { "" };
            let large = matches!(key, "parameters" | "active_parameters");
            format!("{mark}{}", if large { billions(value) } else { value.clone() })
        }
    }
}

/// `70550000000` as `70.55B`, `110000000` as `110M`.
fn billions(count: &str) -> String {
    match count.parse::<f64>() {
        Ok(count) if count >= 1e9 => format!("{}B", (count / 1e7).round() / 100.0),
        Ok(count) => format!("{}M", (count / 1e6).round()),
        Err(_) => count.to_owned(),
    }
}

/// One entry with all of its figures; sources are listed once, below.
pub fn entry(sheet: &Sheet) -> String {
    let mut text = format!("{}\n", sheet.name);
    if !sheet.aliases.is_empty() {
        let _ = writeln!(text, "also: {}", sheet.aliases.join(", "));
    }
    for (key, word) in &sheet.words {
        let _ = writeln!(text, "{key}: {word}");
    }
    if sheet.figures.is_empty() {
        return text;
    }
    let mut table = table(&["figure", "value", "unit", "source", "date", "doubt"], |index| index == 1);
    let mut sources: Vec<&str> = Vec::new();
    for row in &sheet.figures {
        let Some(value) = &row.value else {
            table.add_row([row.figure, "not known"]);
            continue;
        };
        let at = sources.iter().position(|source| *source == row.source).unwrap_or_else(|| {
            sources.push(&row.source);
            sources.len() - 1
        });
        let source = format!("[{}]", at + 1);
        let (date, doubt) = (row.date.as_deref().unwrap_or(""), row.doubt.as_deref().unwrap_or(""));
        table.add_row([row.figure, value, row.unit, &source, date, doubt]);
    }
    let _ = writeln!(text, "\n{table}\n");
    for (index, source) in sources.iter().enumerate() {
        let _ = writeln!(text, "[{}] {source}", index + 1);
    }
    tidy(&text)
}

/// JSON with a line break at its end.
pub fn json(value: &Value) -> String {
    format!("{value:#}\n")
}
