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
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
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
 */
public final class MergeRun {
  private static final Logger LOG = LoggerFactory.getLogger(MergeRun.class);

  private final TransferPlan plan;
  private final MergeOptions options;
  private final MergeProgress progress;
  private Map<String, Journal.Entry> done = Map.of();

  private MergeRun(TransferPlan plan, MergeOptions options, MergeProgress progress) {
    this.plan = plan;
    this.options = options;
    this.progress = progress;
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
    boolean pastCache = plan.movedBytes() >= options.directBytes();
    try (Journal journal =
            known.isPresent() ? known.get() : Journal.begin(staging.journal(), plan.id());
        // First what can not be done without.
        OutputFiles files = new OutputFiles(plan, directories, pastCache, options.opener());
        InputFiles inputs =
            new InputFiles(
                Stream.of(Role.values()).map(plan::model).toList(), pastCache, options.opener())) {
      say(inputs.throughCache(), "read");
      say(files.throughCache(), "written");
      TensorMerge tensors = new TensorMerge(plan, options, progress, journal, inputs, files);
      done = tensors.run();
      files.complete();
      tensors.force();
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
    progress.moved(plan.movedBytes(), plan.movedBytes()); // headers and texts, too
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
      write(ReleaseTexts.place(directory, text.getKey()), text.getValue());
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
