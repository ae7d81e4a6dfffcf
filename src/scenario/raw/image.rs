//! `image` of a stream: what a request for an image asks for.

use crate::scenario::kinds;
use crate::scenario::problem::Problem;
use crate::scenario::reader::TableReader;
use crate::scenario::reading::{Kind, Unfit};
use crate::serving::ImageTerms;

/// A side of an image.
const SIDE: Kind<u32> = Kind {
    what: "a whole number of pixels from 16 to 16384",
    read: |value| match (kinds::COUNT.read)(value)? {
        side if (16..=16_384).contains(&side) => Ok(side),
        side => Err(Unfit::Value(format!("it is {side}; a side has 16 to 16384 pixels"))),
    },
};

/// Steps of denoising.
const STEPS: Kind<u32> = Kind {
    what: "a whole number from 1 to 1000",
    read: |value| match (kinds::COUNT.read)(value)? {
        steps if steps <= 1000 => Ok(steps),
        steps => Err(Unfit::Value(format!("it is {steps}; an image takes at most 1000 steps"))),
    },
};

/// Reads `image`.
pub fn image(t: &mut TableReader<'_>) -> Option<ImageTerms> {
    let doc = "What each request of kind = \"image\" asks for; with `samples` for several images. Images of one size \
               and as many steps are made in one batch.";
    t.table("image", doc, |t| {
        let doc = "Steps of denoising: 20 to 50 of most models, 1 to 4 of those distilled for it.";
        let steps = t.required("steps", &STEPS, doc);
        let width = t.required("width", &SIDE, "Pixels across.");
        let height = t.required("height", &SIDE, "Pixels down.");
        let doc = "Bytes of the file that leaves the cloud, which pay egress: of 1024 x 1024 pixels a PNG has some \
                   1.5 MB, a JPEG some 0.3 MB.";
        let bytes = t.required("bytes", &kinds::BYTES, doc);
        let pixels = *width? * *height?;
        Some(ImageTerms { steps: *steps?, pixels, bytes: *bytes? })
    })
}

/// Keys of a stream that mean nothing beside images, or nothing without them.
pub fn consistent(t: &mut TableReader<'_>, images: bool) {
    let mut refuse = |key: &str, why: &str, help: String| {
        if t.place_at(key) != t.place && t.has(key.split('.').next().unwrap_or(key)) {
            let message = format!("{} has `{key}`, but {why}", t.noun());
            t.problem(Problem::error(t.place_at(key), message).help(help));
        }
    };
    if !images {
        let help = "set kind = \"image\", or take out `image`".to_owned();
        return refuse("image", "its requests ask for tokens", help);
    }
    for key in
        ["prompt_tokens", "output_tokens", "lengths", "sessions", "shared_prompt", "adapter", "beam_width"]
    {
        refuse(key, "an image has neither prompt nor output tokens", format!("take out `{key}`"));
    }
    refuse("overflow", "APIs of [[apis]] are paid by the token", "take out `overflow`".to_owned());
    if t.has("slo") && t.place_at("slo.tpot") != t.place_of("slo") {
        let message = format!("{} has `slo.tpot`, but an image is there all at once", t.noun());
        t.problem(Problem::error(t.place_at("slo.tpot"), message).help("take it out; set slo.e2e"));
    }
    if !t.has("image") {
        let what = "what a request asks for, as in image = { steps = 30, width = 1024, height = 1024, \
                    bytes = \"1.5 MB\" }";
        t.missing("image", what, "");
    }
}
