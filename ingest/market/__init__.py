"""Pure knowledge of markets: records, intervals, symbols, quality. No I/O, no clock, no provider."""
