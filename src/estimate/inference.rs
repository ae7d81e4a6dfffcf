//! What a request costs on hardware of one's own, by FLOP and by bytes.

use super::{Known, OutOfRange, Range, Unit, Worksheet};

/// Words for each token of English: Sunyan 2023 (1,000 tokens are 750 words).
pub(super) const WORDS_PER_TOKEN: f64 = 0.75;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// The inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// Parameters of the model that a token meets (the active ones of a mixture of experts).
    pub parameters: Known,
    /// Parameters of the model in memory.
    pub stored_parameters: Known,
    /// Prompt tokens of a request.
    pub prompt_tokens: Known,
    /// Output tokens of a request.
    pub output_tokens: Known,
    /// FLOP for each parameter and token.
    pub flop_per_parameter: Known,
    /// FLOP of a request, instead of the product of the above.
    pub flop: Option<Known>,
    /// Peak FLOP/s of a card.
    pub peak: Known,
    /// Share of the peak that is reached.
    pub utilization: Known,
    /// Price of a card's hour.
    pub card_hour: Known,
    /// A hosted model's price, to compare with.
    pub api_price: Known,
    /// Bits of a weight.
    pub bits: Known,
    /// Memory of a card, and its bandwidth; without them nothing is said about bytes.
    pub memory: Option<(Known, Known)>,
}

impl Inference {
    /// Calculates.
    ///
    /// # Errors
    /// When an input makes no sense.
    pub fn worksheet(&self) -> Result<Worksheet, OutOfRange> {
        let mut sheet = Worksheet::new("Inference on own cards");
        let parameters = sheet.input("parameters", &self.parameters, Range::Positive)?;
        let prompt = sheet.input("prompt_tokens", &self.prompt_tokens, Range::NotNegative)?;
        let output = sheet.input("output_tokens", &self.output_tokens, Range::Positive)?;
        let factor = sheet.input("flop_per_parameter_token", &self.flop_per_parameter, Range::Positive)?;
        let given = match &self.flop {
            Some(flop) => Some(sheet.input("flop_given", flop, Range::Positive)?),
            None => None,
        };
        let peak = sheet.input("peak_flop_s", &self.peak, Range::Positive)?;
        let utilization = sheet.input("utilization", &self.utilization, Range::Share)?;
        let price = sheet.input("usd_per_card_hour", &self.card_hour, Range::NotNegative)?;
        let api = sheet.input("api_usd_per_1k_tokens", &self.api_price, Range::Positive)?;

        let formula = "FLOP a parameter and token · parameters · (prompt + output)";
        let product = factor * parameters * (prompt + output);
        let flop = match given {
            Some(flop) => sheet.result("flop_per_request", Unit::Flop, "as given", flop),
            None => sheet.result("flop_per_request", Unit::Flop, formula, product),
        };
        let speed = peak * utilization;
        let formula = "FLOP ÷ (peak · utilization)";
        sheet.result("seconds_per_request", Unit::Seconds, formula, flop / speed);
        let formula = "1,000 · FLOP a parameter and token · parameters ÷ (peak · utilization)";
        let per_1k = 1000.0 * factor * parameters / speed;
        sheet.result("seconds_per_1k_tokens", Unit::Seconds, formula, per_1k);
        let rate = sheet.result(
            "tokens_per_second_per_card",
            Unit::TokensPerSecond,
            "1,000 ÷ seconds per 1k tokens",
            1000.0 / per_1k,
        );
        let formula = "seconds per 1k tokens · price ÷ 3,600";
        let cost = per_1k * price / 3600.0;
        sheet.result("usd_per_1k_tokens", Unit::UsdPerThousandTokens, formula, cost);
        let formula = "cost per 1k tokens ÷ 0.75 words a token";
        sheet.result("usd_per_1k_words", Unit::UsdPerThousandWords, formula, cost / WORDS_PER_TOKEN);
        let formula = "seconds a request · price ÷ 3,600";
        sheet.result("usd_per_request", Unit::Usd, formula, flop / speed * price / 3600.0);

        sheet.result("cost_share_of_api_price", Unit::Share, "cost ÷ hosted price", cost / api);
        sheet.result("margin_at_api_price", Unit::Share, "1 − cost ÷ hosted price", 1.0 - cost / api);
        let day = 24.0 * price;
        sheet.result("usd_per_card_day", Unit::Usd, "24 · price", day);
        let most = rate * SECONDS_PER_DAY;
        sheet.result("tokens_per_card_day", Unit::Tokens, "86,400 · tokens per second", most);
        let even = day / api * 1000.0;
        let formula = "24 · price ÷ hosted price: above it own cards are cheaper";
        sheet.result("break_even_tokens_per_card_day", Unit::Tokens, formula, even);
        let formula = "break-even ÷ tokens a card can make; above 1 own cards never pay";
        sheet.result("break_even_share_of_capacity", Unit::Share, formula, even / most);

        if let Some((memory, bandwidth)) = &self.memory {
            self.bytes(&mut sheet, memory, bandwidth, (factor * parameters, parameters, peak, output))?;
        }
        sheet.note(
            "FLOP alone: a batch of one waits for memory, and attention, caches and queues are left out; \
             `run` simulates them.",
        );
        Ok(sheet)
    }

    /// What the bytes say: decoding reads every weight once for each token of a batch.
    fn bytes(
        &self,
        sheet: &mut Worksheet,
        memory: &Known,
        bandwidth: &Known,
        (flop_per_token, active, peak, output): (f64, f64, f64, f64),
    ) -> Result<(), OutOfRange> {
        let stored = sheet.input("stored_parameters", &self.stored_parameters, Range::Positive)?;
        let bits = sheet.input("bits_per_weight", &self.bits, Range::Positive)?;
        let memory = sheet.input("memory_bytes", memory, Range::Positive)?;
        let bandwidth = sheet.input("memory_bytes_s", bandwidth, Range::Positive)?;
        let formula = "parameters · bits ÷ 8";
        let weights = sheet.result("weight_bytes", Unit::Bytes, formula, stored * bits / 8.0);
        let formula = "weights ÷ memory of a card, rounded up";
        let cards = sheet.result("cards_for_weights", Unit::Cards, formula, (weights / memory).ceil());
        let read = active * bits / 8.0;
        let formula = "bytes of the weights a token meets ÷ (cards · bandwidth)";
        let token = read / (cards * bandwidth);
        sheet.result("decode_seconds_per_token_at_batch_1", Unit::Seconds, formula, token);
        let formula = "output tokens · seconds a token";
        sheet.result("decode_seconds_at_batch_1", Unit::Seconds, formula, token * output);
        let formula = "time of the bytes ÷ time of one token's FLOP at the peak: above it FLOP decide";
        let balance = token / (flop_per_token / (cards * peak));
        sheet.result("batch_where_compute_bound", Unit::Number, formula, balance);
        Ok(())
    }
}
