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
  var view = [0, 1], end = 0, windows = [];
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
      windows.push({ part: part, x: number('x'), y: number('y'), w: number('width'), h: number('height'), line: line });
    });
  });
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
  var cross = function (at) {
    windows.forEach(function (one) {
      one.line.style.display = at === null ? 'none' : '';
      if (at !== null) {
        one.line.setAttribute('x1', one.x + at * one.w);
        one.line.setAttribute('x2', one.x + at * one.w);
      }
    });
    now.textContent = at === null ? '' : told(at * end, 1);
  };
  plots.forEach(function (svg) {
    var begun = null;
    svg.tabIndex = 0;
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
        ArrowLeft: function () { pan(-0.25); }, ArrowRight: function () { pan(0.25); },
        '0': function () { show(0, 1); }, Escape: function () { show(0, 1); } };
      if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
    });
  });
  draw();
})();
