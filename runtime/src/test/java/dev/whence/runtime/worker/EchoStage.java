package dev.whence.runtime.worker;

import java.time.Duration;
import java.util.List;
import java.util.function.Function;

/**
 * A stage with byte payloads: what it does with a record is a function of the test. For a record
 * that is given up it writes {@code FAILED <code>}.
 */
final class EchoStage implements Stage {
  private final String out;
  private final Duration predicted;
  private final Function<SourceRecord, Outcome> work;

  EchoStage(String out, Function<SourceRecord, Outcome> work) {
    this(out, Duration.ofMillis(1), work);
  }

  EchoStage(String out, Duration predicted, Function<SourceRecord, Outcome> work) {
    this.out = out;
    this.predicted = predicted;
    this.work = work;
  }

  /** Writes each record's value under its key. */
  static EchoStage echo(String out) {
    return new EchoStage(out, record -> written(out, record));
  }

  static Outcome.Written written(String out, SourceRecord record) {
    return new Outcome.Written(List.of(new Result(out, record.key(), record.value(), List.of())));
  }

  @Override
  public String name() {
    return "echo";
  }

  @Override
  public void open() {}

  @Override
  public Work prepare(SourceRecord record) {
    return new Work() {
      @Override
      public Duration predicted() {
        return predicted;
      }

      @Override
      public Outcome run() {
        return work.apply(record);
      }
    };
  }

  @Override
  public List<Result> failed(SourceRecord record, Failure failure) {
    return List.of(
        new Result(
            out,
            WorkerBench.bytes(record.idWithoutValue()),
            WorkerBench.bytes("FAILED " + failure.code()),
            List.of()));
  }

  @Override
  public void close() {}
}
