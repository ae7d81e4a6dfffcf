//! A page from its parts: what it says first, then sections. Every page looks and works the same.

use askama::Template;

/// Why a page could not be made: both would be defects of the program.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A plot could not be drawn.
    #[error(transparent)]
    Plot(#[from] crate::report::plots::PlotError),
    /// The template could not be filled.
    #[error("cannot fill the page: {0}")]
    Template(#[from] askama::Error),
}

/// Whether what is said first is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It is.
    Good,
    /// It is not.
    Bad,
    /// There is nothing to judge.
    Neutral,
}

impl Mood {
    /// Its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Neutral => "neutral",
        }
    }
}

/// A number of the first screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub what: &'static str,
    /// It.
    pub value: String,
    /// A remark; may be empty.
    pub remark: String,
}

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Where links to it lead.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What is in it, as HTML.
    pub html: String,
}

/// A whole page.
#[derive(Debug, Template)]
#[template(path = "page.html")]
pub struct Sheet {
    /// What it is about.
    pub title: String,
    /// A line under that.
    pub about: String,
    /// Whether the headline is good news.
    pub mood: Mood,
    /// The answer, in a sentence.
    pub headline: String,
    /// Further sentences that belong to it.
    pub verdicts: Vec<String>,
    /// The numbers of the first screen.
    pub facts: Vec<Fact>,
    /// What stands beside the first picture, as HTML; may be empty.
    pub beside: String,
    /// The first picture, as SVG; may be empty.
    pub picture: String,
    /// The sections, in order.
    pub sections: Vec<Section>,
    /// The version of the program.
    pub version: &'static str,
}

impl Sheet {
    /// The page as one HTML file that needs nothing else.
    ///
    /// # Errors
    /// When the template cannot be filled.
    pub fn html(&self) -> Result<String, PageError> {
        Ok(self.render()?)
    }
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    text: String,
    /// By what it is sorted, where that is not its text.
    value: Option<f64>,
    class: &'static str,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), value: None, class: "" }
    }

    /// A number, written `text`.
    pub fn number(value: f64, text: String) -> Self {
        Self { text, value: Some(value), class: "" }
    }

    /// A number that may not exist.
    pub fn maybe(value: Option<f64>, format: fn(f64) -> String) -> Self {
        Self { text: crate::report::format::or_nothing(value, format), value, class: "" }
    }

    /// With a class of the style sheet: `good`, `bad`, `long`, `source`.
    pub fn class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }
}

/// A table that can be sorted by each column.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// What it shows, for those who cannot see it.
    pub label: &'static str,
    /// The columns; those that begin with `#` hold numbers, which stand to the right.
    pub columns: Vec<String>,
    /// The rows; the first cell of each is its name.
    pub rows: Vec<Vec<Cell>>,
    /// Longest that it is shown; the rest is counted.
    pub most: usize,
}

impl Table {
    /// A table with these columns and no rows yet.
    pub fn new(label: &'static str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { label, columns, rows: Vec::new(), most: 200 }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// As HTML; `nothing` is said instead of a table without rows.
    pub fn html(&self, nothing: &str) -> String {
        if self.rows.is_empty() {
            return paragraph(nothing);
        }
        let mut html = format!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table>\n<thead><tr>",
            escape(self.label)
        );
        let numeric: Vec<bool> = self.columns.iter().map(|column| column.starts_with('#')).collect();
        for (column, numeric) in self.columns.iter().zip(&numeric) {
            let class = if *numeric { "" } else { " class=\"text\"" };
            html += &format!("<th scope=\"col\"{class}>{}</th>", escape(column.trim_start_matches('#')));
        }
        html += "</tr></thead>\n<tbody>\n";
        for row in self.rows.iter().take(self.most) {
            html += "<tr>";
            for (index, cell) in row.iter().enumerate() {
                let text = if numeric.get(index) == Some(&true) { "" } else { "text" };
                let class = [text, cell.class].join(" ");
                let class = match class.trim() {
                    "" => String::new(),
                    class => format!(" class=\"{class}\""),
                };
                let value = cell.value.filter(|value| value.is_finite());
                let value = value.map_or(String::new(), |value| format!(" data-v=\"{value}\""));
                let text = escape(&cell.text);
                html += &match index {
                    0 => format!("<th scope=\"row\"{class}{value}>{text}</th>"),
                    _ => format!("<td{class}{value}>{text}</td>"),
                };
            }
            html += "</tr>\n";
        }
        html += "</tbody></table></div>\n";
        match self.rows.len().saturating_sub(self.most) {
            0 => html,
            more => html + &paragraph(&format!("And {more} more.")),
        }
    }
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // What XML cannot hold.
            letter if letter.is_control() && letter != '\n' && letter != '\t' => html.push('\u{FFFD}'),
            letter => html.push(letter),
        }
    }
    html
}

/// A paragraph.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", escape(text))
}

/// A heading within a section.
pub fn heading(text: &str) -> String {
    format!("<h3>{}</h3>\n", escape(text))
}

/// A list of sentences.
pub fn list(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("<li>{}</li>", escape(item))).collect();
    format!("<ul>\n{}\n</ul>\n", items.join("\n"))
}

/// Plots side by side; those that are `wide` take two places.
pub fn figures(plots: &[(String, bool)]) -> String {
    let figure = |(svg, wide): &(String, bool)| {
        format!("<figure{}>{}</figure>\n", if *wide { " class=\"wide\"" } else { "" }, svg)
    };
    format!("<div class=\"plots\">\n{}</div>\n", plots.iter().map(figure).collect::<String>())
}

/// An SVG for a page: its colours follow the page's light or dark scheme.
pub fn themed(mut svg: String) -> String {
    for (color, class) in crate::report::plots::THEMED_COLORS {
        svg = svg.replace(&format!("fill=\"{color}\""), &format!("class=\"f{class}\""));
        svg = svg.replace(&format!("stroke=\"{color}\""), &format!("class=\"s{class}\""));
    }
    // What every text has in common is said once, in the style sheet.
    svg.replace(" font-family=\"sans-serif\"", "").replace(" dy=\"0.5ex\"", "").replace(" fill=\"none\"", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_any_text() {
        let mut table = Table::new("a \"table\"", &["name", "#usd"]);
        table.row(vec![Cell::text("<b>&'x'\u{1}"), Cell::number(2.5, "$2.50".to_owned())]);
        let html = table.html("none");
        assert!(
            html.contains("&lt;b&gt;&amp;&#39;x&#39;\u{FFFD}</th><td data-v=\"2.5\">$2.50</td>"),
            "{html}"
        );
        assert!(html.contains("aria-label=\"a &quot;table&quot;\""), "{html}");
        assert_eq!(Table::new("x", &["y"]).html("There is <nothing>."), "<p>There is &lt;nothing&gt;.</p>\n");
    }
}
