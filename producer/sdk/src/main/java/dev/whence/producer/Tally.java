package dev.whence.producer;

import java.util.concurrent.atomic.LongAdder;

/** Counts, written by callers and by the sending threads. */
final class Tally {
  final LongAdder recorded = new LongAdder();
  final LongAdder delivered = new LongAdder();
  final LongAdder dropped = new LongAdder();
  final LongAdder failed = new LongAdder();
}
