package dev.whence.engine.training;

import dev.whence.engine.kernel.TorchRuntime;
import dev.whence.engine.kernel.TrainableDecoder;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Threads that differentiate parts of a batch at once. Each part, the dearest first, goes to the
 * thread that has least to do (longest processing time first; Graham, 1969); each thread adds up
 * its parts in that order, and the sums are added in the order of the threads: so the same batch
 * gives the same bits.
 */
final class Workers implements AutoCloseable {
  /** Length of a row whose attention is taken to cost as much as all else. */
  private static final double SQUARE_FROM = 500;

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
    List<List<RowPacker.Packed>> shares = shares(parts);
    List<CompletableFuture<Double>> sums = new ArrayList<>();
    for (int t = 0; t < threads.size(); t++) {
      int thread = t;
      sums.add(
          CompletableFuture.supplyAsync(
              () -> {
                TorchRuntime.workAlone();
                double sum = 0;
                for (RowPacker.Packed part : shares.get(thread)) {
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

  private List<List<RowPacker.Packed>> shares(List<RowPacker.Packed> parts) {
    List<List<RowPacker.Packed>> shares = new ArrayList<>();
    for (int t = 0; t < threads.size(); t++) {
      shares.add(new ArrayList<>());
    }
    double[] load = new double[threads.size()];
    parts.stream()
        .sorted(Comparator.comparingDouble(part -> -cost(part)))
        .forEach(
            part -> {
              int least = 0;
              for (int t = 1; t < load.length; t++) {
                least = load[t] < load[least] ? t : least;
              }
              shares.get(least).add(part);
              load[least] += cost(part);
            });
    return shares;
  }

  /** In tokens of a short row: attention grows with the square of a row's length. */
  private static double cost(RowPacker.Packed part) {
    double length = part.documents().length();
    return part.documents().rows() * length * (1 + length / SQUARE_FROM);
  }

  @Override
  public void close() {
    threads.forEach(ExecutorService::shutdown);
    TorchRuntime.workTogether(threadsElsewhere);
  }
}
