package dev.whence.runtime.worker;

/** Another stage, but for what a subclass does otherwise. */
abstract class ForwardingStage implements Stage {
  private final Stage stage;

  ForwardingStage(Stage stage) {
    this.stage = stage;
  }

  @Override
  public String name() {
    return stage.name();
  }

  @Override
  public void open() {
    stage.open();
  }

  @Override
  public Work prepare(SourceRecord record) {
    return stage.prepare(record);
  }

  @Override
  public Outcome.Written failed(SourceRecord record, Failure failure) {
    return stage.failed(record, failure);
  }

  @Override
  public void close() {
    stage.close();
  }
}
