//! What a question to a search engine or a writing tool costs when a language model answers it.

use super::inference::WORDS_PER_TOKEN;
use super::{Known, OutOfRange, Range, Unit, Worksheet};

/// How the model is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// The prompt goes in, some samples come out, the best is shown (Sunyan 2023, D1).
    ChatEquivalent,
    /// Retrieved results are summarised one by one (Sunyan 2023, D2).
    TwoStage,
}

/// How often the user's prompt is paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptCounted {
    /// Once for all samples or results.
    Once,
    /// With each of them.
    Each,
}

/// The inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// How the model is used.
    pub design: Design,
    /// How often the prompt is paid for.
    pub prompt_counted: PromptCounted,
    /// Words of the user's prompt.
    pub prompt_words: Known,
    /// Words of an answer.
    pub answer_words: Known,
    /// Answers that are made for each prompt or result.
    pub samples: Known,
    /// Results that are retrieved.
    pub results: Known,
    /// Words of a result.
    pub result_words: Known,
    /// Price of 1,000 tokens of a hosted model.
    pub api_price: Known,
    /// Share of the queries that a cache answers.
    pub cache_hit: Known,
    /// Share of the price that is its seller's margin.
    pub margin: Known,
    /// How many times cheaper own, optimised models are.
    pub reduction: Known,
    /// Queries of a year.
    pub queries: Known,
    /// Revenue of a year.
    pub revenue: Known,
    /// What the product's users pay: dollars, for so many words.
    pub product: Option<(Known, Known)>,
}

impl Query {
    /// Calculates.
    ///
    /// # Errors
    /// When an input makes no sense.
    pub fn worksheet(&self) -> Result<Worksheet, OutOfRange> {
        let mut sheet = Worksheet::new(match self.design {
            Design::ChatEquivalent => "A query answered by a model",
            Design::TwoStage => "A query whose results a model summarises",
        });
        let prompt = sheet.input("prompt_words", &self.prompt_words, Range::NotNegative)?;
        let answer = sheet.input("answer_words", &self.answer_words, Range::Positive)?;
        let samples = sheet.input("samples", &self.samples, Range::AtLeastOne)?;
        let (calls, extra) = match self.design {
            Design::ChatEquivalent => (samples, 0.0),
            Design::TwoStage => {
                let results = sheet.input("results", &self.results, Range::AtLeastOne)?;
                let words = sheet.input("result_words", &self.result_words, Range::Positive)?;
                (samples * results, results * words)
            }
        };
        let price = sheet.input("api_usd_per_1k_tokens", &self.api_price, Range::Positive)?;
        let hit = sheet.input("cache_hit_rate", &self.cache_hit, Range::Part)?;
        let margin = sheet.input("api_margin", &self.margin, Range::Part)?;
        let reduction = sheet.input("reduction", &self.reduction, Range::Positive)?;
        let queries = sheet.input("queries_per_year", &self.queries, Range::Positive)?;
        let revenue = sheet.input("revenue_per_year", &self.revenue, Range::Positive)?;

        let (asked, counted) = match self.prompt_counted {
            PromptCounted::Once => (prompt, "prompt"),
            PromptCounted::Each => (prompt * calls, "prompt · answers"),
        };
        let formula = match self.design {
            Design::ChatEquivalent => format!("{counted} + samples · answer"),
            Design::TwoStage => format!("{counted} + results · (words of a result + samples · answer)"),
        };
        let words = sheet.result("words", Unit::Words, &formula, asked + extra + calls * answer);
        let tokens =
            sheet.result("tokens", Unit::Tokens, "words ÷ 0.75 words a token", words / WORDS_PER_TOKEN);
        let formula = "tokens ÷ 1,000 · hosted price";
        let list = sheet.result("usd_at_list_price", Unit::Usd, formula, tokens / 1000.0 * price);
        let formula = "· (1 − cache hit rate) · (1 − margin)";
        let cost = sheet.result("usd_per_query", Unit::Usd, formula, list * (1.0 - hit) * (1.0 - margin));
        let optimised = sheet.result(
            "usd_per_query_optimised",
            Unit::Usd,
            "cost of a query ÷ reduction",
            cost / reduction,
        );
        let earned = sheet.result("revenue_per_query", Unit::Usd, "revenue ÷ queries", revenue / queries);
        sheet.result("share_of_revenue", Unit::Share, "cost of a query ÷ its revenue", cost / earned);
        let formula = "optimised cost of a query ÷ its revenue";
        sheet.result("share_of_revenue_optimised", Unit::Share, formula, optimised / earned);
        sheet.result("usd_per_year", Unit::UsdPerYear, "queries · cost", queries * cost);
        let formula = "queries · optimised cost";
        sheet.result("usd_per_year_optimised", Unit::UsdPerYear, formula, queries * optimised);
        if let Some((dollars, sold)) = &self.product {
            let dollars = sheet.input("product_usd", dollars, Range::Positive)?;
            let sold = sheet.input("product_words", sold, Range::Positive)?;
            let formula = "dollars ÷ words · 1,000 · 0.75 words a token";
            let earned = dollars / sold * 1000.0 * WORDS_PER_TOKEN;
            sheet.result("product_usd_per_1k_tokens", Unit::UsdPerThousandTokens, formula, earned);
            let formula = "1 − samples · hosted price ÷ product's price";
            sheet.result("product_margin", Unit::Share, formula, 1.0 - samples * price / earned);
            sheet.note(
                "A published calculation divides by 0.75 where it must multiply: $1.09 instead of $0.615 per \
                 1k tokens for $82 per 100,000 words.",
            );
        }
        Ok(sheet)
    }
}
