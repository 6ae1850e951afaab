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
  private final Runnable whenFailed;

  EchoStage(String out, Function<SourceRecord, Outcome> work) {
    this(out, Duration.ofMillis(1), work);
  }

  EchoStage(String out, Duration predicted, Function<SourceRecord, Outcome> work) {
    this(out, predicted, work, () -> {});
  }

  private EchoStage(
      String out, Duration predicted, Function<SourceRecord, Outcome> work, Runnable whenFailed) {
    this.out = out;
    this.predicted = predicted;
    this.work = work;
    this.whenFailed = whenFailed;
  }

  /** Hears of each record whose failure is committed. */
  static EchoStage counted(String out, Function<SourceRecord, Outcome> work, Runnable whenFailed) {
    return new EchoStage(out, Duration.ofMillis(1), work, whenFailed);
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
  public Outcome.Written failed(SourceRecord record, Failure failure) {
    return new Outcome.Written(
        List.of(
            new Result(
                out,
                WorkerCluster.bytes(record.idWithoutValue()),
                WorkerCluster.bytes("FAILED " + failure.code()),
                List.of())),
        whenFailed);
  }

  @Override
  public void close() {}
}
