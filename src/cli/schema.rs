//! `fleetsim schema`: the scenario file as a JSON Schema.

use super::Failure;
use crate::scenario;

/// Print the JSON Schema of scenario files, for editors that complete and check TOML.
///
/// Beneath `#:schema scenario.schema.json` as its first line, a scenario is checked while it is written by editors
/// with a TOML language server (taplo, Even Better TOML).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print every option as a line instead: path, kind, default, meaning.
    #[arg(long)]
    list: bool,
    /// Print every option as a Markdown document: docs/scenario-file.md is made by this.
    #[arg(long, conflicts_with = "list")]
    markdown: bool,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    if args.markdown {
        return super::print(&markdown());
    }
    if !args.list {
        return super::print(&format!("{:#}\n", scenario::json_schema()));
    }
    let line = |option: scenario::OptionDoc| {
        let default = match (&option.default, option.required) {
            (Some(default), _) => format!("default {default}"),
            (None, true) => "required".to_owned(),
            (None, false) => "optional".to_owned(),
        };
        format!("{}\n    {}; {default}\n    {}\n", option.path, option.kind, option.doc)
    };
    super::print(&scenario::option_reference().into_iter().map(line).collect::<String>())
}

/// What stands above the tables.
const MARKDOWN_HEAD: &str = "# The scenario file

Every option, as `fleetsim schema --markdown` prints them; `fleetsim check FILE` says what is wrong with a
file. `[]` stands for the items of a list, `(kind)` for options of one kind of a table only.
";

/// A document with a table for each part of the file.
fn markdown() -> String {
    let mut text = MARKDOWN_HEAD.to_owned();
    let mut part = String::new();
    for option in scenario::option_reference() {
        let head: String = option.path.chars().take_while(|c| *c != '.' && *c != '[').collect();
        if head != part {
            let (title, is_table) = match option.path.contains(['.', '[']) || option.kind.contains("table") {
                true => (format!("`{head}`"), true),
                false => ("The file itself".to_owned(), false),
            };
            // Plain values follow each other under one heading.
            if is_table || !text.contains("## The file itself") {
                text += &format!(
                    "\n## {title}\n\n| option | what it is | default | meaning |\n|---|---|---|---|\n"
                );
            }
            part = head;
        }
        let default = match (option.default, option.required) {
            (Some(default), _) => format!("`{default}`"),
            (None, true) => "required".to_owned(),
            (None, false) => "–".to_owned(),
        };
        let cells = [format!("`{}`", option.path), option.kind, default, option.doc.to_owned()];
        text += &format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text
}
