package dev.whence.engine.training;

import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.kernel.TrainableDecoder;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Threads that differentiate parts of a batch at once. Part i goes to thread i mod threads, each
 * thread adds up its parts in their order, and the sums are added in the order of the threads: so
 * the same batch gives the same bits.
 */
final class Workers implements AutoCloseable {
  private final List<ExecutorService> threads = new ArrayList<>();
  private final int threadsElsewhere;

  /**
   * @param threadsElsewhere that other native calls of this process use, restored by {@link #close}
   */
  Workers(int count, int threadsElsewhere) {
    this.threadsElsewhere = threadsElsewhere;
    for (int i = 0; i < count; i++) {
      String name = "training-" + i;
      ExecutorService thread =
          Executors.newSingleThreadExecutor(
              task -> {
                Thread made = new Thread(task, name);
                made.setDaemon(true);
                return made;
              });
      threads.add(thread);
    }
  }

  /**
   * Adds the gradient of all parts to the decoder's.
   *
   * @return the sum of their weighted losses
   */
  double differentiate(TrainableDecoder decoder, List<RowPacker.Packed> parts) {
    int longest = parts.stream().mapToInt(part -> part.documents().length()).max().orElseThrow();
    decoder.prepare(threads.size(), longest);
    List<CompletableFuture<Double>> sums = new ArrayList<>();
    for (int t = 0; t < threads.size(); t++) {
      int thread = t;
      sums.add(
          CompletableFuture.supplyAsync(
              () -> {
                TorchRuntime.workAlone();
                double sum = 0;
                for (int i = thread; i < parts.size(); i += threads.size()) {
                  RowPacker.Packed part = parts.get(i);
                  sum += Trainer.weighted(decoder.differentiate(part.documents(), thread), part);
                }
                return sum;
              },
              threads.get(t)));
    }
    double total = 0;
    try {
      for (CompletableFuture<Double> sum : sums) {
        total += sum.join();
      }
    } catch (CompletionException e) {
      CompletableFuture.allOf(sums.toArray(CompletableFuture[]::new))
          .exceptionally(x -> null)
          .join();
      decoder.gather();
      decoder.clearGradient();
      if (e.getCause() instanceof RuntimeException cause) {
        throw cause;
      }
      throw e;
    }
    decoder.gather();
    return total;
  }

  @Override
  public void close() {
    threads.forEach(ExecutorService::shutdown);
    TorchRuntime.workTogether(threadsElsewhere);
  }
}
