package dev.whence.transfer.merge;

import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;

/**
 * Makes the tensors of a plan, several at a time, the largest first. What is finished is forced to
 * disk and then noted in the journal, so that a run that is cut off is gone on with.
 *
 * <p>An element that the policies refuse is a failure that is told with the first such element of
 * every other tensor (see {@link UnfitTensors}): from the first one on tensors are only looked at,
 * which costs the reading of what is left and nothing where all is well.
 */
final class TensorMerge {
  private static final int LARGEST_PIECE = 4 << 20;
  private static final int SMALLEST_PIECE = 1 << 16;

  /**
   * What one worker moves before the others begin, and of how much: until the JIT compiler is done
   * with the kernel and the digests, they run some twenty times slower, and the more threads do so,
   * the less of the processors is left for the compiler.
   */
  private static final long ALONE_BYTES = 64L << 20;

  private static final long ALONE_FROM_BYTES = 16 * ALONE_BYTES;

  private final TransferPlan plan;
  private final MergeOptions options;
  private final MergeProgress progress;
  private final Journal journal;
  private final InputFiles inputs;
  private final OutputFiles files;
  private final AtomicLong moved = new AtomicLong();
  private final Map<String, Journal.Entry> done = new ConcurrentHashMap<>();
  private final Object forcing = new Object();
  private List<Journal.Entry> unforced = new ArrayList<>();
  private long unforcedBytes;
  private final CountDownLatch alone;
  private volatile boolean failed;
  private final UnfitTensors unfit = new UnfitTensors();

  /** A piece of work. */
  private record Work(String name, long bytes, Optional<TensorPlan> made, Optional<Read> read) {}

  /** A tensor that is only read. */
  private record Read(Role role, SourceModel.Tensor tensor) {}

  TensorMerge(
      TransferPlan plan,
      MergeOptions options,
      MergeProgress progress,
      Journal journal,
      InputFiles inputs,
      OutputFiles files) {
    this.plan = plan;
    this.options = options;
    this.progress = progress;
    this.journal = journal;
    this.inputs = inputs;
    this.files = files;
    this.alone = new CountDownLatch(plan.movedBytes() < ALONE_FROM_BYTES ? 0 : 1);
  }

  /**
   * Makes all tensors that are not there yet, verifies those that are, and reads what is only read.
   *
   * @return what became of each, by its name
   * @throws TransferException if the policies refuse an element
   * @throws StoppedException if the options' stop said so
   */
  Map<String, Journal.Entry> run() throws IOException {
    List<Work> all = new ArrayList<>();
    for (TransferPlan.Shard shard : plan.shards()) {
      for (TensorPlan tensor : shard.tensors()) {
        all.add(new Work(tensor.name(), tensor.bytes(), Optional.of(tensor), Optional.empty()));
      }
    }
    for (Role role : List.of(Role.BASE, Role.FINE_TUNED)) {
      Map<String, SourceModel.Tensor> own = plan.model(role).tensors();
      for (SourceModel.Tensor tensor : plan.unused()) {
        if (tensor.equals(own.get(tensor.name()))) {
          all.add(
              new Work(
                  TensorWorker.key(role, tensor.name()),
                  tensor.entry().byteLength(),
                  Optional.empty(),
                  Optional.of(new Read(role, tensor))));
        }
      }
    }
    all.sort(Comparator.comparingLong(Work::bytes).reversed().thenComparing(Work::name));
    int workers = Math.max(1, Math.min(options.workers(), all.size()));
    int block = Math.max(inputs.block(), files.block());
    int buffers = 3 + plan.request().lambdas().size();
    long each = options.memoryBytes() / workers / buffers - DirectFile.spare(block);
    int piece = (int) Math.max(SMALLEST_PIECE, Math.min(LARGEST_PIECE, each / 8 * 8));
    AtomicInteger next = new AtomicInteger();
    if (journal.goesOn()) {
      alone.countDown(); // verifying needs no warm kernel
    }
    ExecutorService threads =
        Executors.newFixedThreadPool(workers, task -> new Thread(task, "transfer"));
    try {
      List<Future<?>> running = new ArrayList<>();
      for (int w = 0; w < workers; w++) {
        boolean first = w == 0;
        running.add(
            threads.submit(
                () -> {
                  try {
                    if (!first) {
                      alone.await();
                    }
                    take(all, next, () -> worker(piece, block));
                    return null;
                  } finally {
                    alone.countDown();
                  }
                }));
      }
      await(running);
    } finally {
      failed = true; // whoever still runs ends at its next piece
      threads.shutdown();
      boolean interrupted = false;
      while (!threads.isTerminated()) {
        try {
          var unused = threads.awaitTermination(1, java.util.concurrent.TimeUnit.HOURS);
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
    unfit.refuse();
    return done;
  }

  private TensorWorker worker(int piece, int block) {
    TransferRequest request = plan.request();
    return new TensorWorker(
        inputs, request.lambdas(), request.policies().nonFinite(), piece, block, this::moved);
  }

  private void await(List<Future<?>> running) throws IOException {
    Optional<Throwable> first = Optional.empty();
    for (Future<?> one : running) {
      try {
        one.get();
      } catch (ExecutionException e) {
        Throwable cause = e.getCause() == null ? e : e.getCause();
        // A worker that was stopped because another failed is not what went wrong.
        if (first.isEmpty() || first.get() instanceof StoppedException) {
          first = Optional.of(cause);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        failed = true;
        throw new StoppedException();
      }
    }
    if (first.isPresent()) {
      rethrow(first.get());
    }
  }

  private static void rethrow(Throwable cause) throws IOException {
    if (cause instanceof IOException e) {
      throw e;
    }
    if (cause instanceof RuntimeException e) {
      throw e;
    }
    if (cause instanceof Error e) {
      throw e;
    }
    throw new IllegalStateException(cause);
  }

  private void take(List<Work> all, AtomicInteger next, Supplier<TensorWorker> making)
      throws IOException {
    try {
      TensorWorker worker = making.get(); // takes its buffers, for which memory may not suffice
      for (int i = next.getAndIncrement(); i < all.size(); i = next.getAndIncrement()) {
        Work work = all.get(i);
        Optional<Journal.Entry> before = journal.find(work.name());
        if (before.isPresent() && verified(worker, work, before.get())) {
          done.put(work.name(), before.get());
          moved(bytesOf(work));
          continue;
        }
        if (unfit.isEnough()) {
          return;
        }
        try {
          if (unfit.isNone()) {
            Journal.Entry entry =
                work.made().isPresent()
                    ? worker.make(work.made().get(), files.place(work.name()))
                    : worker.hash(
                        work.name(), work.read().orElseThrow().role(), work.read().get().tensor());
            done.put(work.name(), entry);
            note(entry, work.bytes());
          } else if (work.made().isPresent()) {
            worker.look(work.made().get(), files.place(work.name()));
          }
        } catch (UnfitException e) {
          unfit.add(e.sentence());
        }
      }
    } catch (IOException | RuntimeException | Error e) {
      failed = true;
      throw e;
    }
  }

  private boolean verified(TensorWorker worker, Work work, Journal.Entry entry) throws IOException {
    return work.made().isEmpty()
        || worker.verify(work.made().get(), files.place(work.name()), entry);
  }

  private long bytesOf(Work work) {
    return work.made()
        .map(
            tensor ->
                tensor.bytes() * plan.request().lambdas().size()
                    + tensor.treatment().reads().stream()
                        .mapToLong(read -> read.entry().byteLength())
                        .sum())
        .orElse(work.bytes());
  }

  private void moved(long bytes) {
    if (failed || options.stop().getAsBoolean()) {
      throw new StoppedException();
    }
    long now = moved.addAndGet(bytes);
    if (now >= ALONE_BYTES) {
      alone.countDown();
    }
    // What two tensors are made of is read twice; the end is told once, when it is there.
    progress.moved(Math.max(0, Math.min(plan.movedBytes() - 1, now)), plan.movedBytes());
  }

  /** Every so many bytes, all that was written is forced and then noted. */
  private void note(Journal.Entry entry, long bytes) throws IOException {
    synchronized (forcing) {
      unforced.add(entry);
      unforcedBytes += bytes;
      if (unforcedBytes < options.forceBytes()) {
        return;
      }
      unforcedBytes = 0;
    }
    force();
  }

  /** Forces what was written so far, and notes it. */
  void force() throws IOException {
    synchronized (journal) {
      List<Journal.Entry> written;
      synchronized (forcing) {
        written = unforced;
        unforced = new ArrayList<>();
      }
      if (options.durable()) {
        files.force();
      }
      journal.add(written, options.durable());
    }
  }
}
