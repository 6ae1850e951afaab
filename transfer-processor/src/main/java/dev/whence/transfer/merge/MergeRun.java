package dev.whence.transfer.merge;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.engine.weights.WeightDigest;
import dev.whence.files.FileProblem;
import dev.whence.files.FileTree;
import dev.whence.files.OwnFile;
import dev.whence.files.Sha256;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Carries out a plan: reads each byte of the three models once (of tensors whose rows go together
 * by token twice), writes each byte of the results once, and makes them visible by one rename.
 *
 * <p>Several threads take tensors, the largest first. What is written is forced to disk and then
 * noted in the {@link Journal} with its checksum, in groups; a run that finds a journal of its plan
 * verifies what is noted and does the rest. The manifest is written last. Until the rename nothing
 * is under the result's name; after it, all of it is: the end of the process at any point leaves
 * one or the other. A run that fails, rather than being stopped or killed, removes what it wrote,
 * unless only the last rename failed.
 *
 * <p>An element that the policies refuse is a failure that is told with the first such element of
 * every other tensor (see {@link UnfitTensors}): from the first one on tensors are only looked at,
 * which costs the reading of what is left and nothing where all is well.
 */
public final class MergeRun {
  private static final int LARGEST_PIECE = 4 << 20;
  private static final int SMALLEST_PIECE = 1 << 16;

  /**
   * What one worker moves before the others begin, and of how much: until the JIT compiler is done
   * with the kernel and the digests, they run some twenty times slower, and the more threads do so,
   * the less of the processors is left for the compiler.
   */
  private static final long ALONE_BYTES = 64L << 20;

  private static final long ALONE_FROM_BYTES = 16 * ALONE_BYTES;

  private static final Logger LOG = LoggerFactory.getLogger(MergeRun.class);

  private final TransferPlan plan;
  private final MergeOptions options;
  private final MergeProgress progress;
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

  private MergeRun(TransferPlan plan, MergeOptions options, MergeProgress progress) {
    this.plan = plan;
    this.options = options;
    this.progress = progress;
    this.alone = new CountDownLatch(total() < ALONE_FROM_BYTES ? 0 : 1);
  }

  private long total() {
    return plan.inputBytes() + plan.outputBytes();
  }

  /**
   * Merges and publishes. With one lambda the output holds the model, with several a directory for
   * each, {@code lambda-0.5}.
   *
   * @param output must not exist, be empty, or hold the same transfer
   * @return what is there then
   * @throws TransferException if the plan can not be carried out; nothing of it is left then,
   *     unless something outside is broken, the process may open no more files, or the disk has no
   *     room for the rest of what an earlier run has begun, or only the last rename failed
   * @throws StoppedException if the options' stop said so; what was done is kept
   */
  public static Published run(
      TransferPlan plan, Path output, MergeOptions options, MergeProgress progress) {
    try (Staging staging = Staging.lock(output)) {
      Optional<Published> before = published(plan, output);
      if (before.isPresent()) {
        staging.discard();
        return before.get();
      }
      OutputState.occupied(output)
          .ifPresent(
              reason -> {
                throw new TransferException(reason);
              });
      refuseShortOfSpace(plan, staging);
      MergeRun run = new MergeRun(plan, options, progress);
      List<Manifest> manifests;
      try {
        manifests = run.merge(staging);
      } catch (TransferException | IOException | EngineException e) {
        stopIfInterrupted(e);
        if (!TransferException.isOfEnvironment(e) && !isOutOfDescriptors(e)) {
          staging.discard(); // else the next run goes on, as after a kill
        }
        throw e;
      }
      return run.publish(staging, manifests); // what is merged stays if this fails
    } catch (IOException e) {
      stopIfInterrupted(e);
      throw new TransferException(
          "the transfer to " + output + " failed " + FileProblem.unwritten(e, output), e);
    }
  }

  /** What an earlier run of the plan has finished stays, what another plan's left makes room. */
  private static void refuseShortOfSpace(TransferPlan plan, Staging staging) throws IOException {
    Optional<Set<String>> noted = Journal.noted(staging.journal(), plan.id());
    if (noted.isEmpty()) {
      staging.discard();
    }
    long written = OutputState.writtenBytes(plan, noted.orElse(Set.of()));
    Optional<String> refusal = OutputState.shortOfSpace(plan, staging.output(), written, 0);
    if (refusal.isPresent()) {
      throw TransferException.passing(
          refusal.get()
              + (noted.isEmpty()
                  ? ""
                  : "; what an earlier run has finished stays, and a run goes on with it once there"
                      + " is room"),
          /* cause= */ null);
    }
  }

  /** An interrupt closes the file that is read or written, and is no failure. */
  private static void stopIfInterrupted(Throwable thrown) {
    for (@Nullable Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof ClosedByInterruptException) {
        throw new StoppedException();
      }
    }
  }

  private static boolean isOutOfDescriptors(Throwable thrown) {
    for (@Nullable Throwable cause = thrown; cause != null; cause = cause.getCause()) {
      if (cause instanceof IOException e && DirectFile.isOutOfDescriptors(e)) {
        return true;
      }
    }
    return false;
  }

  /** Whether a run to an output was cut off and left something that another could go on with. */
  public static boolean isUnfinished(Path output) {
    return Files.exists(Staging.directory(output));
  }

  /**
   * Removes what a run to an output left that was cut off.
   *
   * @throws BusyException if somebody writes there
   */
  public static void discardUnfinished(Path output) throws IOException {
    try (Staging staging = Staging.lock(output)) {
      staging.discard();
    }
  }

  /**
   * Gives what a run to an output left to another output, if it is of a plan; else removes it. The
   * caller holds the locks of both, or nobody writes there.
   */
  public static void moveUnfinished(TransferPlan plan, Path from, Path to) throws IOException {
    Path left = Staging.directory(from);
    if (!Files.exists(left)) {
      return;
    }
    Path there = Staging.directory(to);
    boolean isOfPlan = Journal.noted(Staging.journal(left), plan.id()).isPresent();
    if (isOfPlan && !Files.exists(there)) {
      Directories.move(left, there);
    } else {
      Files.deleteIfExists(Staging.request(left)); // first: it is what is gone on with
      FileTree.delete(left);
    }
  }

  static Optional<Published> published(TransferPlan plan, Path output) {
    List<Published.Model> models = new ArrayList<>();
    for (Path directory : places(plan, output)) {
      if (!Files.isDirectory(directory)) {
        return Optional.empty();
      }
      Optional<Manifest> manifest = Manifest.read(directory);
      if (manifest.isEmpty() || !manifest.get().plan().equals(plan.id())) {
        return Optional.empty();
      }
      models.add(new Published.Model(directory, manifest.get()));
    }
    return Optional.of(new Published(plan.id(), models, true));
  }

  /** One directory for each lambda of a plan, in their order. */
  public static List<Path> places(TransferPlan plan, Path root) {
    List<Double> lambdas = plan.request().lambdas();
    return lambdas.size() == 1
        ? List.of(root)
        : lambdas.stream().map(lambda -> root.resolve("lambda-" + lambda)).toList();
  }

  private List<Manifest> merge(Staging staging) throws IOException {
    Optional<Journal> known = Journal.resume(staging.journal(), plan.id());
    staging.create();
    if (known.isEmpty()) {
      write(staging.request(), RequestFile.bytes(plan.request()));
    }
    List<Path> directories = places(plan, staging.result());
    staging.keepOnly(files(directories));
    boolean pastCache = total() >= options.directBytes();
    try (Journal journal =
            known.isPresent() ? known.get() : Journal.begin(staging.journal(), plan.id());
        // First what can not be done without.
        OutputFiles files = new OutputFiles(plan, directories, pastCache, options.opener());
        InputFiles inputs =
            new InputFiles(
                Stream.of(Role.values()).map(plan::model).toList(), pastCache, options.opener())) {
      say(inputs.throughCache(), "read");
      say(files.throughCache(), "written");
      work(journal, inputs, files);
      unfit.refuse();
      files.complete();
      force(journal, files);
    }
    Map<Role, String> digests = checkedDigests();
    List<Manifest> manifests = new ArrayList<>();
    for (int k = 0; k < directories.size(); k++) {
      manifests.add(finish(directories.get(k), k, digests));
    }
    return manifests;
  }

  /** All that the results consist of. */
  private Set<Path> files(List<Path> directories) {
    Set<String> names = new HashSet<>(plan.texts().keySet());
    names.add(Manifest.FILE);
    if (plan.indexed()) {
      names.add(SafetensorsShards.INDEX);
    }
    plan.shards().forEach(shard -> names.add(shard.fileName()));
    Set<Path> files = new HashSet<>();
    directories.forEach(directory -> names.forEach(name -> files.add(directory.resolve(name))));
    return files;
  }

  private Published publish(Staging staging, List<Manifest> manifests) throws IOException {
    try {
      staging.publish(options.durable());
    } catch (IOException e) {
      stopIfInterrupted(e);
      throw TransferException.passing(
          staging.output()
              + " could not be published ("
              + FileProblem.of(e, staging.output())
              + "): what is merged stays, and a run goes on with it",
          e);
    }
    staging.discard();
    List<Path> places = places(plan, staging.output());
    List<Published.Model> models = new ArrayList<>();
    for (int k = 0; k < places.size(); k++) {
      models.add(new Published.Model(places.get(k), manifests.get(k)));
    }
    progress.moved(total(), total()); // headers and texts, too
    return new Published(plan.id(), models, false);
  }

  private static void say(Map<Path, String> throughCache, String done) {
    throughCache.entrySet().stream()
        .findFirst()
        .ifPresent(
            first ->
                LOG.info(
                    "{} files are {} through the page cache, which takes longer: {}, {}",
                    throughCache.size(),
                    done,
                    first.getKey(),
                    first.getValue()));
  }

  private void work(Journal journal, InputFiles inputs, OutputFiles files) throws IOException {
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
                    take(all, next, () -> worker(inputs, piece, block), journal, files);
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
  }

  private TensorWorker worker(InputFiles inputs, int piece, int block) {
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

  private void take(
      List<Work> all,
      AtomicInteger next,
      Supplier<TensorWorker> making,
      Journal journal,
      OutputFiles files)
      throws IOException {
    try {
      TensorWorker worker = making.get(); // takes its buffers, for which memory may not suffice
      for (int i = next.getAndIncrement(); i < all.size(); i = next.getAndIncrement()) {
        Work work = all.get(i);
        Optional<Journal.Entry> before = journal.find(work.name());
        if (before.isPresent() && verified(worker, work, before.get(), files)) {
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
            note(entry, work.bytes(), journal, files);
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

  private static boolean verified(
      TensorWorker worker, Work work, Journal.Entry entry, OutputFiles files) throws IOException {
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
    progress.moved(Math.max(0, Math.min(total() - 1, now)), total());
  }

  /** Every so many bytes, all that was written is forced and then noted. */
  private void note(Journal.Entry entry, long bytes, Journal journal, OutputFiles files)
      throws IOException {
    synchronized (forcing) {
      unforced.add(entry);
      unforcedBytes += bytes;
      if (unforcedBytes < options.forceBytes()) {
        return;
      }
      unforcedBytes = 0;
    }
    force(journal, files);
  }

  private void force(Journal journal, OutputFiles files) throws IOException {
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

  /** Digests of the three models; a release must be what it says it is. */
  private Map<Role, String> checkedDigests() {
    Map<String, String> read = new HashMap<>();
    done.values().forEach(entry -> read.putAll(entry.read()));
    Map<Role, String> digests = new HashMap<>();
    List<String> problems = new ArrayList<>();
    for (Role role : Role.values()) {
      SourceModel model = plan.model(role);
      SortedMap<String, WeightDigest.Hashed> hashed = new TreeMap<>();
      for (SourceModel.Tensor tensor : model.tensors().values()) {
        if (!SafetensorsShards.isBuffer(tensor.name())) {
          hashed.put(
              tensor.name(),
              new WeightDigest.Hashed(
                  tensor.dtype(),
                  tensor.shape(),
                  Objects.requireNonNull(read.get(TensorWorker.key(role, tensor.name())))));
        }
      }
      String digest = WeightDigest.ofTextsIn(model.directory()).hex(hashed);
      digests.put(role, digest);
      model
          .expectedDigest()
          .filter(expected -> !expected.equals(digest))
          .ifPresent(
              expected ->
                  problems.add(
                      model + " has the digest " + digest + ", its release says " + expected));
    }
    TransferException.refuse(problems);
    return digests;
  }

  /** Texts, index and manifest of one result, all on disk. */
  private Manifest finish(Path directory, int result, Map<Role, String> inputs) throws IOException {
    Map<String, byte[]> texts = new TreeMap<>(plan.texts());
    if (plan.indexed()) {
      texts.put(SafetensorsShards.INDEX, index());
    }
    Map<String, String> sums = new TreeMap<>();
    for (Map.Entry<String, byte[]> text : texts.entrySet()) {
      write(directory.resolve(text.getKey()), text.getValue());
      sums.put(text.getKey(), Sha256.of(text.getValue()));
    }
    SortedMap<String, WeightDigest.Hashed> hashed = new TreeMap<>();
    Map<String, Manifest.Tensor> tensors = new TreeMap<>();
    for (TransferPlan.Shard shard : plan.shards()) {
      for (TensorPlan tensor : shard.tensors()) {
        Journal.Entry entry = Objects.requireNonNull(done.get(tensor.name()));
        tensors.put(
            tensor.name(),
            new Manifest.Tensor(tensor.policy(), Journal.hex(entry.crc32c().get(result))));
        if (!SafetensorsShards.isBuffer(tensor.name())) {
          hashed.put(
              tensor.name(),
              new WeightDigest.Hashed(tensor.dtype(), tensor.shape(), entry.sha256().get(result)));
        }
      }
    }
    Map<String, Manifest.Ancestor> ancestors = new TreeMap<>();
    for (Role role : Role.values()) {
      ancestors.put(
          role.word(),
          new Manifest.Ancestor(
              String.valueOf(plan.model(role).directory().getFileName()),
              Objects.requireNonNull(inputs.get(role))));
    }
    Manifest manifest =
        new Manifest(
            plan.id(),
            plan.request().lambdas().get(result),
            WeightDigest.ofTextsIn(directory).hex(hashed),
            ancestors,
            plan.request().policies().named(),
            tensors,
            sums);
    write(directory.resolve(Manifest.FILE), manifest.bytes());
    return manifest;
  }

  private byte[] index() {
    ObjectNode root = UntrustedJson.mapper().createObjectNode();
    root.putObject("metadata")
        .put("total_size", plan.shards().stream().mapToLong(TransferPlan.Shard::dataBytes).sum());
    ObjectNode map = root.putObject("weight_map");
    for (TransferPlan.Shard shard : plan.shards()) {
      shard.tensors().forEach(tensor -> map.put(tensor.name(), shard.fileName()));
    }
    return ReleaseTexts.bytes(root);
  }

  private void write(Path file, byte[] bytes) throws IOException {
    if (options.durable()) {
      writeForced(file, bytes);
    } else {
      Files.write(file, bytes);
    }
  }

  /** Writes a file that survives a power cut as soon as its name does. */
  public static void writeForced(Path file, byte[] bytes) throws IOException {
    try (FileChannel channel = OwnFile.begin(file)) {
      ByteBuffer left = ByteBuffer.wrap(bytes);
      while (left.hasRemaining()) {
        channel.write(left);
      }
      channel.force(true);
    }
  }
}
