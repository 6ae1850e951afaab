package dev.whence.runtime.worker;

import dev.whence.runtime.config.GroupProtocol;
import dev.whence.runtime.health.Health;
import dev.whence.runtime.worker.WorkerCluster.Topics;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.UnaryOperator;

/** A worker in this JVM, with what it says about itself. */
final class RunningWorker implements AutoCloseable {
  final Health health = new Health();
  final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  final List<String> halts = new CopyOnWriteArrayList<>();
  final Worker worker;

  private RunningWorker(
      WorkerCluster cluster,
      Topics topics,
      GroupProtocol protocol,
      String instance,
      Stage stage,
      TransactionHook hook,
      UnaryOperator<WorkerOptions> change) {
    worker =
        new Worker(
            change.apply(
                WorkerCluster.options(topics, protocol, instance, 32, WorkerCluster.QUICK)),
            stage,
            WorkerCluster.clients(cluster.broker.bootstrapServers(), protocol),
            health,
            meters,
            halts::add,
            hook);
    worker.start();
  }

  static RunningWorker start(
      WorkerCluster cluster, Topics topics, GroupProtocol protocol, String instance, Stage stage) {
    return start(cluster, topics, protocol, instance, stage, TransactionHook.NONE, o -> o);
  }

  static RunningWorker start(
      WorkerCluster cluster, Topics topics, Stage stage, UnaryOperator<WorkerOptions> change) {
    return start(cluster, topics, GroupProtocol.CONSUMER, "a", stage, TransactionHook.NONE, change);
  }

  static RunningWorker start(
      WorkerCluster cluster,
      Topics topics,
      GroupProtocol protocol,
      String instance,
      Stage stage,
      TransactionHook hook,
      UnaryOperator<WorkerOptions> change) {
    return new RunningWorker(cluster, topics, protocol, instance, stage, hook, change);
  }

  double count(String name) {
    return meters.find(name).counters().stream().mapToDouble(Counter::count).sum();
  }

  @Override
  public void close() {
    worker.close();
  }
}
