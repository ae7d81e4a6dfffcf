//! Pages in a real browser: headless Chromium opens the reports of five scenarios at three widths. No error on the
//! console, the controls work, nothing is wider than the screen. Screenshots stay in `target/tmp/browser/`, to be
//! looked at. Where a machine has no browser the test says that it was skipped, and passes.

#![allow(clippy::unwrap_used, reason = "tests, and helpers of tests, may")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fleetsim::report::{Records, Wanted, write_all};
use fleetsim::scenario;
use fleetsim::world::{RunOptions, run};
use serde_json::Value;

/// With streams, an autoscaler, replicas that come and go, prefill and decode apart, jobs.
const SCENARIOS: [&str; 5] =
    ["quickstart", "launch-autoscaled", "scale-to-zero", "disaggregated", "own-with-burst"];
/// A phone, a laptop, a projector.
const WIDTHS: [(u32, u32); 3] = [(390, 3000), (1280, 1800), (1920, 1800)];

/// Plays the reader inside the page and tells the page around it what came of that.
const READER: &str = r#"
window.addEventListener('load', function () {
  var told = { errors: window.seen, tables: 0, sorted: 0, windows: 0 };
  var all = function (query, from) { return Array.prototype.slice.call((from || document).querySelectorAll(query)); };
  all('table').forEach(function (table) {
    var heads = all('thead th', table);
    told.tables += 1;
    var sound = heads.every(function (head, column) {
      var button = head.querySelector('button');
      if (!button) { return 2 > table.tBodies[0].rows.length; }
      /* A button in the order of focus: Enter and Space press it. */
      button.focus();
      if (document.activeElement !== button) { return false; }
      button.click();
      var first = all('tbody tr', table).map(function (row) { return row.cells[column].dataset.v; });
      var up = head.getAttribute('aria-sort') === 'ascending';
      button.click();
      var down = head.getAttribute('aria-sort') === 'descending';
      var numbers = first.filter(function (value) { return value !== undefined; }).map(Number);
      var rising = numbers.every(function (value, at) { return at === 0 || value >= numbers[at - 1]; });
      return up && down && rising;
    });
    told.sorted += sound ? 1 : 0;
  });
  var views = function () {
    return all('.tw').map(function (part) { return Number(part.getAttribute('viewBox').split(' ')[2]); });
  };
  var button = function (label) {
    return all('.tools button').find(function (one) { return one.title.indexOf(label) === 0; });
  };
  var whole = views();
  told.windows = whole.length;
  button('Zoom in').click();
  told.zoomed = views().every(function (width, at) { return 0.01 * whole[at] > Math.abs(width - whole[at] / 2); });
  told.labels = all('.tx .made').length;
  button('Later').click();
  button('The whole').click();
  told.whole = views().every(function (width, at) { return width === whole[at]; }) && all('.tx .made').length === 0;
  var plot = all('figure > svg').find(function (svg) { return svg.querySelector('.tw'); });
  var press = function (key) { plot.dispatchEvent(new KeyboardEvent('keydown', { key: key, bubbles: true })); };
  plot.focus();
  told.focus = document.activeElement === plot;
  press('+');
  told.keys = whole[0] > views()[0];
  press('0');
  var one = plot.querySelector('.tw'), box = plot.getBoundingClientRect(), size = plot.viewBox.baseVal;
  var at = function (name) { return Number(one.getAttribute(name)); };
  var x = box.left + (at('x') + at('width') / 2) / size.width * box.width;
  var y = box.top + (at('y') + at('height') / 2) / size.height * box.height;
  plot.dispatchEvent(new PointerEvent('pointermove', { clientX: x, clientY: y, bubbles: true, pointerType: 'mouse' }));
  told.cross = all('.ch').filter(function (line) { return line.style.display !== 'none'; }).length;
  told.now = document.querySelector('.tools .now').textContent;
  told.read = all('.at').map(function (caption) { return caption.textContent; });
  told.captions = all('figure > svg').filter(function (svg) { return svg.querySelector('.tw g[data-n]'); }).length;
  var before = told.now;
  press('ArrowRight');
  told.moved = document.querySelector('.tools .now').textContent !== before;
  button('Light').click();
  told.dark = document.documentElement.dataset.theme;
  button('Light').click();
  plot.dispatchEvent(new PointerEvent('pointerleave', { bubbles: false }));
  told.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  told.width = document.documentElement.clientWidth;
  scrollTo(0, 0);
  document.activeElement.blur();
  parent.postMessage(JSON.stringify(told), '*');
});
"#;

/// Chromium under one of its names.
fn browser() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
}

/// A page of that width with the report in it, played with by the reader.
fn stage(folder: &Path, width: u32, height: u32) -> PathBuf {
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    let seen = "<script>window.seen = []; window.addEventListener('error', function (event) { \
                window.seen.push(String(event.message)); });</script>";
    let page = page.replacen("<head>", &format!("<head>{seen}"), 1);
    let page = page.replace("</body>", &format!("<script>//<![CDATA[\n{READER}\n//]]></script></body>"));
    fs::write(folder.join("played.html"), page).unwrap();
    let stage = format!(
        "<!DOCTYPE html><html><body style='margin:0'><iframe src='played.html' width='{width}' height='{height}' \
         style='border:0'></iframe><pre id='told'></pre><script>window.addEventListener('message', function (event) \
         {{ document.getElementById('told').textContent = event.data; }});</script></body></html>"
    );
    let path = folder.join(format!("stage-{width}.html"));
    fs::write(&path, stage).unwrap();
    path
}

fn open(browser: &Path, folder: &Path, (width, height): (u32, u32)) -> Value {
    let stage = stage(folder, width, height);
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=4000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={},{height}", width.max(600)))
        .arg(format!("--screenshot={}", folder.join(format!("{width}.png")).display()))
        .arg(format!("file://{}", stage.display()))
        .output()
        .unwrap();
    let (dom, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(console.is_empty(), "{}: {console:#?}", stage.display());
    let told = dom.split_once("<pre id=\"told\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let told = told.unwrap_or_else(|| panic!("{}: {dom}\n{log}", stage.display())).0;
    serde_json::from_str(&told.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
        .unwrap_or_else(|error| panic!("{}: {error}: {told}\n{log}", stage.display()))
}

#[test]
fn reports_work_in_a_browser() {
    let Some(browser) = browser() else {
        println!("skipped: there is no chromium on this machine");
        return;
    };
    for name in SCENARIOS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("scenarios/{name}.toml"));
        let loaded = scenario::load(&path, &[], None).unwrap_or_else(|wrong| panic!("{wrong}"));
        let results = run(&loaded.config, RunOptions::default()).unwrap_or_else(|error| panic!("{error}"));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser").join(name);
        let wanted = Wanted { records: Records(Default::default()), ..Wanted::default() };
        write_all(&results, &loaded.resolved_toml, &folder, &wanted).unwrap();
        for (width, height) in WIDTHS {
            let told = open(&browser, &folder, (width, height));
            let at = format!("{name} at {width}: {told}");
            assert_eq!(told["errors"], Value::Array(Vec::new()), "{at}");
            assert_eq!(told["width"], width, "{at}");
            assert!(told["wide"].as_i64().unwrap() <= 0, "the page is wider than the screen: {at}");
            assert_eq!(told["tables"], told["sorted"], "{at}");
            assert!(told["tables"].as_u64().unwrap() >= 6, "{at}");
            assert!(told["windows"].as_u64().unwrap() >= 6, "{at}");
            assert_eq!(told["cross"], told["windows"], "one cross-hair on every time axis: {at}");
            for sound in ["zoomed", "whole", "focus", "keys", "moved"] {
                assert_eq!(told[sound], true, "{sound}: {at}");
            }
            assert!(told["labels"].as_u64().unwrap() >= 6, "{at}");
            assert!(!told["now"].as_str().unwrap().is_empty(), "{at}");
            assert_eq!(told["dark"], "dark", "{at}");
            // Each plot with curves tells their values at the cross-hair, unless nothing was observed then.
            let read = told["read"].as_array().unwrap();
            let said = read.iter().filter(|text| text.as_str().is_some_and(|text| !text.is_empty())).count();
            assert!(said as u64 + 3 >= told["captions"].as_u64().unwrap() && said >= 4, "{at}");
            assert!(read.iter().any(|text| text.as_str().unwrap().contains("arrived ")), "{at}");
        }
    }
}
