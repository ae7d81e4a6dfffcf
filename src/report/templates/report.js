(function () {
  'use strict';
  var all = function (query, from) { return Array.prototype.slice.call((from || document).querySelectorAll(query)); };
  var make = function (tag, text, parent) {
    var element = document.createElement(tag);
    element.textContent = text;
    parent.appendChild(element);
    return element;
  };

  /* Tables sort by a click on the head of a column. */
  all('table').forEach(function (table) {
    var heads = all('thead th', table), body = table.tBodies[0];
    if (body.rows.length < 2) { return; }
    heads.forEach(function (head, column) {
      var name = head.textContent;
      head.textContent = '';
      var button = make('button', name, head);
      button.type = 'button';
      button.title = 'Sort by ' + name;
      button.addEventListener('click', function () {
        var up = head.getAttribute('aria-sort') !== 'ascending';
        heads.forEach(function (other) { other.removeAttribute('aria-sort'); });
        head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
        var key = function (row) {
          var cell = row.cells[column], value = cell.getAttribute('data-v');
          return value === null ? cell.textContent : Number(value);
        };
        var rows = Array.prototype.slice.call(body.rows).map(function (row, place) { return [key(row), place, row]; });
        rows.sort(function (a, b) {
          var numbers = typeof a[0] === 'number' && typeof b[0] === 'number', order;
          if (numbers) { order = a[0] - b[0]; }
          else if (typeof a[0] !== typeof b[0]) { order = typeof a[0] === 'number' ? -1 : 1; }
          else { order = a[0].localeCompare(b[0], 'en', { numeric: true }); }
          return (up ? order : -order) || a[1] - b[1];
        });
        rows.forEach(function (row) { body.appendChild(row[2]); });
      });
    });
  });

  /* Light or dark, whatever the system says. */
  var root = document.documentElement, bar = document.createElement('div');
  bar.className = 'tools';
  bar.setAttribute('role', 'toolbar');
  bar.setAttribute('aria-label', 'View');
  var scheme = make('button', '◐', bar);
  scheme.type = 'button';
  scheme.title = 'Light or dark';
  scheme.setAttribute('aria-label', scheme.title);
  scheme.addEventListener('click', function () {
    var dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
  });

  /* Time axes: one zoom and one cross-hair for all of them. */
  var NS = 'http://www.w3.org/2000/svg';
  var plots = all('figure svg').filter(function (svg) { return svg.parentNode.tagName === 'FIGURE' && svg.querySelector('.tw'); });
  var view = [0, 1], end = 0, windows = [], captions = [];
  var STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800,
    3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 31536000];
  var two = function (number) { return String(100 + number).slice(1); };
  var told = function (seconds, step) {
    if (end <= 300) { return String(Math.round(seconds * 1e6) / 1e6) + ' s'; }
    var whole = Math.round(seconds), days = Math.floor(whole / 86400), rest = whole - days * 86400;
    var hours = Math.floor(rest / 3600), minutes = Math.floor(rest / 60) - hours * 60;
    var clock = hours + ':' + two(minutes) + (step >= 60 ? '' : ':' + two(rest - hours * 3600 - minutes * 60));
    if (end <= 3 * 86400) { return (days > 0 ? days + ' d ' : '') + clock; }
    return 'day ' + days + (step >= 86400 ? '' : ', ' + clock);
  };
  plots.forEach(function (svg) {
    all('.tw', svg).forEach(function (part) {
      var number = function (name) { return Number(part.getAttribute(name)); };
      var line = document.createElementNS(NS, 'line');
      line.setAttribute('class', 'ch');
      line.setAttribute('y1', number('y'));
      line.setAttribute('y2', number('y') + number('height'));
      line.style.display = 'none';
      part.appendChild(line);
      end = Math.max(end, number('data-end'));
      windows.push({ part: part, svg: svg, x: number('x'), y: number('y'), w: number('width'), h: number('height'),
        line: line, curves: null });
    });
    if (!svg.querySelector('.tw g[data-n]')) { return; }
    var caption = make('figcaption', '', svg.parentNode);
    caption.className = 'at';
    captions.push({ svg: svg, text: caption });
  });

  /* Values at the cross-hair: the place of a curve, or the height of an area, by the scale of its panel. */
  var SI = [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
  var short = function (value) { return String(Number(value.toPrecision(3))); };
  var shown = function (value, unit) {
    if (unit === 'share') { return short(value * 100) + ' %'; }
    if (unit === 's') {
      if (value >= 3600) { return short(value / 3600) + ' h'; }
      return value >= 1 ? short(value) + ' s' : short(value * 1000) + ' ms';
    }
    var size = Math.abs(value), si = SI.find(function (one) { return size >= 10 * one[0]; });
    var text = si ? short(value / si[0]) + si[1] : short(value);
    return unit === 'usd' ? '$' + text : text;
  };
  var curvesOf = function (one) {
    if (one.curves) { return one.curves; }
    var scale = one.part.getAttribute('data-y').split(' ');
    one.scale = { low: Number(scale[0]), high: Number(scale[1]), log: scale[2] === 'log', unit: scale[3] };
    one.curves = all('g[data-n]', one.part).map(function (group) {
      var lines = all('polyline, polygon', group).map(function (shape) {
        var points = shape.getAttribute('points').trim().split(/\s+/).map(function (pair) { return pair.split(',').map(Number); });
        if (shape.tagName === 'polygon' && points.length > 0) { points.push(points[0]); }
        return points;
      });
      return { name: group.getAttribute('data-n'), area: group.querySelector('polygon') !== null, lines: lines };
    });
    return one.curves;
  };
  /* Where a curve is at x: its highest and its lowest place there. A dashed one is taken at the end of its dash. */
  var placesOf = function (curve, x) {
    var found = null, nearest = null;
    curve.lines.forEach(function (points) {
      for (var i = 1; points.length > i; i += 1) {
        var a = points[i - 1], b = points[i], low = Math.min(a[0], b[0]), high = Math.max(a[0], b[0]);
        if (x >= low && high >= x) {
          var y = high > low ? a[1] + (b[1] - a[1]) * (x - a[0]) / (b[0] - a[0]) : b[1];
          found = found ? [Math.min(found[0], y), Math.max(found[1], y)] : [y, y];
        } else if (!curve.area && 60 > Math.min(Math.abs(x - low), Math.abs(x - high))) {
          nearest = [b[1], b[1]];
        }
      }
    });
    return found || nearest;
  };
  var valueOf = function (one, y) {
    var share = 1 - (y - one.y) / one.h, scale = one.scale;
    if (scale.log) { return scale.low * Math.pow(scale.high / scale.low, share); }
    return scale.low + share * (scale.high - scale.low);
  };
  var read = function (one, at) {
    return curvesOf(one).map(function (curve) {
      var places = placesOf(curve, one.x + at * one.w);
      if (!places) { return ''; }
      var value = valueOf(one, places[0]) - (curve.area ? valueOf(one, places[1]) - one.scale.low : 0);
      return curve.name + ' ' + shown(Math.max(value, 0), one.scale.unit);
    }).filter(function (text) { return text !== ''; });
  };
  if (plots.length === 0) { document.body.appendChild(bar); return; }

  var draw = function () {
    var from = view[0], size = view[1] - view[0], zoomed = size < 0.9999;
    windows.forEach(function (one) {
      one.part.setAttribute('viewBox', [one.x + from * one.w, one.y, size * one.w, one.h].join(' '));
    });
    plots.forEach(function (svg) {
      svg.classList.toggle('z', zoomed);
      all('.tx', svg).forEach(function (group) {
        all('.made', group).forEach(function (text) { text.remove(); });
        var texts = all('text', group), left = Number(group.dataset.left), width = Number(group.dataset.width);
        texts.forEach(function (text) { text.style.display = zoomed ? 'none' : ''; });
        if (!zoomed || texts.length === 0) { return; }
        var step = STEPS.find(function (step) { return size * end / step <= Math.max(2, width / 420); }) || end;
        for (var time = Math.ceil(from * end / step) * step; time <= view[1] * end; time += step) {
          var text = texts[0].cloneNode(false);
          text.classList.add('made');
          text.style.display = '';
          text.setAttribute('x', left + (time / end - from) / size * width);
          text.textContent = told(time, step);
          group.appendChild(text);
        }
      });
    });
    range.textContent = zoomed ? told(from * end, 60) + ' – ' + told(view[1] * end, 60) : '';
    reset.disabled = !zoomed;
  };
  var show = function (from, to) {
    var size = Math.min(1, Math.max(to - from, 0.002));
    from = Math.min(Math.max(from, 0), 1 - size);
    view = [from, from + size];
    draw();
  };
  var scale = function (factor, at) {
    var middle = at === undefined ? (view[0] + view[1]) / 2 : at;
    show(middle - (middle - view[0]) * factor, middle + (view[1] - middle) * factor);
  };
  var pan = function (share) { var by = share * (view[1] - view[0]); show(view[0] + by, view[1] + by); };
  var button = function (sign, title, act) {
    var made = make('button', sign, bar);
    made.type = 'button';
    made.title = title;
    made.setAttribute('aria-label', title);
    made.addEventListener('click', act);
    return made;
  };
  button('+', 'Zoom in on the time axes', function () { scale(0.5); });
  button('−', 'Zoom out', function () { scale(2); });
  button('←', 'Earlier', function () { pan(-0.5); });
  button('→', 'Later', function () { pan(0.5); });
  var reset = button('⟲', 'The whole time', function () { show(0, 1); });
  bar.title = 'On a plot: drag to zoom, + and − zoom, arrows move the cross-hair, Shift and arrows move the view, 0 shows all';
  var range = make('span', '', bar), now = make('span', '', bar);
  now.className = 'now';
  range.className = 'range';
  document.body.appendChild(bar);

  /* The share of the run at a place of the screen, where that is on a time axis. */
  var share = function (svg, event) {
    var box = svg.getBoundingClientRect(), size = svg.viewBox.baseVal;
    var x = (event.clientX - box.left) / box.width * size.width, y = (event.clientY - box.top) / box.height * size.height;
    var one = windows.find(function (one) {
      return svg.contains(one.part) && x >= one.x && one.x + one.w >= x && y >= one.y && one.y + one.h >= y;
    });
    return one ? view[0] + (x - one.x) / one.w * (view[1] - view[0]) : null;
  };
  var here = null;
  var cross = function (at) {
    windows.forEach(function (one) {
      one.line.style.display = at === null ? 'none' : '';
      if (at !== null) {
        one.line.setAttribute('x1', one.x + at * one.w);
        one.line.setAttribute('x2', one.x + at * one.w);
      }
    });
    here = at;
    now.textContent = at === null ? '' : told(at * end, 1);
    captions.forEach(function (caption) {
      var told = at === null ? [] : windows.filter(function (one) { return one.svg === caption.svg; }).map(function (one) {
        var values = read(one, at).join(', '), name = one.part.getAttribute('data-n');
        return values && name ? name + ': ' + values : values;
      });
      caption.text.textContent = told.filter(function (text) { return text; }).join(' · ');
      caption.text.title = caption.text.textContent;
    });
  };
  /* The cross-hair by keyboard, a hundredth of what is in view at a time; what is in view follows it. */
  var step = function (share) {
    var size = view[1] - view[0], at = (here === null ? view[0] + size / 2 : here) + share * size;
    at = Math.min(1, Math.max(0, at));
    if (view[0] > at || at > view[1]) { show(at - size / 2, at + size / 2); }
    cross(at);
  };
  plots.forEach(function (svg) {
    var begun = null;
    svg.tabIndex = 0;
    svg.setAttribute('aria-keyshortcuts', '+ - 0 ArrowLeft ArrowRight Shift+ArrowLeft Shift+ArrowRight');
    svg.addEventListener('blur', function () { cross(null); });
    svg.addEventListener('pointermove', function (event) { cross(share(svg, event)); });
    svg.addEventListener('pointerleave', function () { cross(null); });
    svg.addEventListener('pointerdown', function (event) {
      begun = event.pointerType === 'mouse' ? share(svg, event) : null;
      if (begun !== null) { event.preventDefault(); svg.focus(); }
    });
    svg.addEventListener('pointerup', function (event) {
      var ended = share(svg, event);
      if (begun !== null && ended !== null && Math.abs(ended - begun) > 0.01 * (view[1] - view[0])) {
        show(Math.min(begun, ended), Math.max(begun, ended));
      }
      begun = null;
    });
    svg.addEventListener('dblclick', function () { show(0, 1); });
    svg.addEventListener('keydown', function (event) {
      var acts = { '+': function () { scale(0.5); }, '=': function () { scale(0.5); }, '-': function () { scale(2); },
        ArrowLeft: function () { if (event.shiftKey) { pan(-0.25); } else { step(-0.01); } },
        ArrowRight: function () { if (event.shiftKey) { pan(0.25); } else { step(0.01); } },
        '0': function () { show(0, 1); }, Escape: function () { show(0, 1); cross(null); } };
      if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
    });
  });
  draw();
})();
