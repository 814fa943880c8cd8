// The chart of a series: candles, and a red strip where a bar is missing. The page's table says the same without it.
(() => {
  const box = document.getElementById("chart");
  if (!box) return;
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const look = () => ({
    layout: { background: { color: "transparent" }, textColor: colour("--soft") },
    grid: { vertLines: { color: colour("--panel") }, horzLines: { color: colour("--panel") } },
  });
  const { createChart, CandlestickSeries, HistogramSeries } = LightweightCharts;
  const chart = createChart(box, { autoSize: true, timeScale: { timeVisible: true, secondsVisible: false }, ...look() });
  const bars = chart.addSeries(CandlestickSeries, {});
  const holes = chart.addSeries(HistogramSeries, { priceScaleId: "holes", priceLineVisible: false, lastValueVisible: false });
  holes.priceScale().applyOptions({ scaleMargins: { top: 0, bottom: 0 }, visible: false });
  const paint = () => {
    chart.applyOptions(look());
    const good = colour("--good"), bad = colour("--bad");
    bars.applyOptions({ upColor: good, wickUpColor: good, downColor: bad, wickDownColor: bad, borderVisible: false });
    holes.applyOptions({ color: bad.replace("rgb(", "rgba(").replace(")", ", 0.35)") });
  };
  const load = async () => {
    const answer = await fetch(box.dataset.source);
    if (!answer.ok) return;
    const { candles, missing } = await answer.json();
    const digits = candles.length ? Math.max(2, Math.min(8, 5 - Math.floor(Math.log10(Math.abs(candles.at(-1).close) || 1)))) : 2;
    bars.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: 10 ** -digits } });
    bars.setData([...candles, ...missing.map((time) => ({ time }))].sort((a, b) => a.time - b.time));
    holes.setData(missing.map((time) => ({ time, value: 1 })));
    box.dataset.bars = candles.length;
    box.dataset.missing = missing.length;
  };
  paint();
  load().then(() => chart.timeScale().fitContent());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  document.body.addEventListener("data", load);
})();
