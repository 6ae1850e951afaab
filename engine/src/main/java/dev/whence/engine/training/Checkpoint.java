package dev.whence.engine.training;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.kernel.ParameterLayout;
import dev.whence.engine.kernel.TrainableDecoder;
import dev.whence.engine.kernel.TrainableDecoder.Vector;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsWeights;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import dev.whence.files.FileProblem;
import dev.whence.files.FileTree;
import dev.whence.files.Sha256;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The state of a training run on disk: parameters and AdamW's moments in fp32, bit for bit, and how
 * many steps were taken. A directory {@code step-N} of two files: {@code model.safetensors} with
 * the vectors theta, mean and square, and {@code checkpoint.json} with its SHA-256. The directory
 * gets its name when both are on disk.
 *
 * @param step steps taken
 * @param purpose what is trained on what: a state of another purpose is refused
 */
record Checkpoint(Path directory, long step, String purpose, String sha256) {
  private static final Pattern NAME = Pattern.compile("step-([0-9]{1,12})");
  private static final String STATE = "model.safetensors";
  private static final String MANIFEST = "checkpoint.json";
  private static final int KEPT = 2;
  private static final int CHUNK_ELEMENTS = 1 << 20;

  /**
   * Writes the trainer's state and deletes all but the last two up to its step.
   *
   * @param runs directory of the checkpoints
   * @return what could not be deleted, a sentence each: that stops no training
   * @throws EngineException of kind ENVIRONMENT if it can not be written: earlier ones stay
   */
  static List<String> write(Path runs, Trainer trainer, String purpose) {
    long step = trainer.step();
    Path beside = runs.resolve(".writing");
    try {
      delete(beside);
      Files.createDirectories(beside);
      TrainableDecoder decoder = trainer.decoder();
      ParameterLayout layout = trainer.layout();
      SafetensorsWriter.write(
          beside.resolve(STATE),
          ElementType.F32,
          List.of(
              vector(decoder, Vector.THETA, layout.total()),
              vector(decoder, Vector.MEAN, layout.trained()),
              vector(decoder, Vector.SQUARE, layout.trained())),
          Map.of());
      writeManifest(beside.resolve(MANIFEST), step, purpose, Sha256.of(beside.resolve(STATE)));
      Path named = runs.resolve("step-" + step);
      FileTree.delete(named);
      Files.move(beside, named, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new EngineException(
          Kind.ENVIRONMENT,
          "The checkpoint of step "
              + step
              + " could not be written under "
              + runs
              + " "
              + FileProblem.unwritten(e, runs)
              + ".",
          e);
    }
    return prune(runs, step);
  }

  /** Later ones were passed over when training went on from an earlier one: they count for none. */
  private static List<String> prune(Path runs, long newest) {
    List<String> problems = new ArrayList<>();
    List<Checkpoint> all =
        list(runs).stream().filter(checkpoint -> checkpoint.step() <= newest).toList();
    for (Checkpoint old : all.subList(Math.min(KEPT, all.size()), all.size())) {
      try {
        FileTree.delete(old.directory());
      } catch (IOException e) {
        problems.add(
            "The old checkpoint "
                + old.directory()
                + " could not be deleted ("
                + e.getMessage()
                + "); it can be removed by hand.");
      }
    }
    return problems;
  }

  private static void delete(Path checkpoint) throws IOException {
    Files.deleteIfExists(checkpoint.resolve(MANIFEST));
    Files.deleteIfExists(checkpoint.resolve(STATE));
    Files.deleteIfExists(checkpoint.resolve(STATE + ".writing"));
    Files.deleteIfExists(checkpoint);
  }

  private static SafetensorsWriter.Tensor vector(
      TrainableDecoder decoder, Vector vector, long length) {
    return new SafetensorsWriter.Tensor(
        name(vector), List.of(length), (offset, n) -> decoder.read(vector, offset, n));
  }

  private static String name(Vector vector) {
    return vector.name().toLowerCase(Locale.ROOT);
  }

  private static void writeManifest(Path file, long step, String purpose, String sha256)
      throws IOException {
    byte[] json =
        JsonMapper.builder()
            .build()
            .createObjectNode()
            .put("format", 1)
            .put("step", step)
            .put("purpose", purpose)
            .put("sha256", sha256)
            .toPrettyString()
            .getBytes(StandardCharsets.UTF_8);
    try (FileChannel out =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      ByteBuffer bytes = ByteBuffer.wrap(json);
      while (bytes.hasRemaining()) {
        out.write(bytes);
      }
      out.force(true);
    }
  }

  /** The checkpoints under a directory, newest first; their states are not looked at yet. */
  static List<Checkpoint> list(Path runs) {
    List<Checkpoint> found = new ArrayList<>();
    if (!Files.isDirectory(runs)) {
      return found;
    }
    try (Stream<Path> entries = Files.list(runs)) {
      for (Path entry : entries.toList()) {
        Matcher matcher = NAME.matcher(String.valueOf(entry.getFileName()));
        if (matcher.matches()) {
          JsonNode manifest = manifest(entry.resolve(MANIFEST));
          found.add(
              new Checkpoint(
                  entry,
                  Long.parseLong(matcher.group(1)),
                  manifest.path("purpose").asText(),
                  manifest.path("sha256").asText()));
        }
      }
    } catch (IOException e) {
      throw new EngineException(Kind.ENVIRONMENT, runs + " could not be listed.", e);
    }
    found.sort(Comparator.comparingLong(Checkpoint::step).reversed());
    return found;
  }

  /** What a manifest says; nothing if it is missing or no JSON: such a checkpoint is not whole. */
  private static JsonNode manifest(Path file) throws IOException {
    try {
      return Files.exists(file)
          ? JsonMapper.builder().build().readTree(Files.readAllBytes(file))
          : MissingNode.getInstance();
    } catch (JacksonException e) {
      return MissingNode.getInstance();
    }
  }

  /** Whether the state is there and is what was written. */
  boolean isWhole() {
    Path state = directory.resolve(STATE);
    try {
      return Files.exists(state) && Sha256.of(state).equals(sha256);
    } catch (IOException e) {
      throw new EngineException(Kind.ENVIRONMENT, state + " could not be read.", e);
    }
  }

  /**
   * Puts a trainer into this state.
   *
   * @throws EngineException of kind MODEL if the state is another model's, or was trained for
   *     another purpose
   */
  void restore(Trainer trainer, String wanted) {
    if (!purpose.equals(wanted)) {
      throw new EngineException(
          Kind.MODEL,
          directory
              + " was written for another model, recipe or seed; delete the directory to start anew,"
              + " or choose another one.");
    }
    try (WeightSource file = new SafetensorsWeights(directory)) {
      ParameterLayout layout = trainer.layout();
      fill(file, trainer.decoder(), Vector.THETA, layout.total());
      fill(file, trainer.decoder(), Vector.MEAN, layout.trained());
      fill(file, trainer.decoder(), Vector.SQUARE, layout.trained());
    }
    trainer.resumeAt(step);
  }

  private void fill(WeightSource file, TrainableDecoder decoder, Vector vector, long length) {
    TensorInfo info = file.tensors().get(name(vector));
    if (info == null || info.type() != ElementType.F32 || !info.shape().equals(List.of(length))) {
      throw new EngineException(
          Kind.MODEL, directory + " holds no " + name(vector) + " of " + length + " elements.");
    }
    ByteBuffer bytes = ByteBuffer.allocate(CHUNK_ELEMENTS * Float.BYTES);
    bytes.order(ByteOrder.LITTLE_ENDIAN);
    for (long at = 0; at < length; ) {
      int n = (int) Math.min(CHUNK_ELEMENTS, length - at);
      bytes.clear().limit(n * Float.BYTES);
      file.read(info.name(), at * Float.BYTES, bytes);
      float[] values = new float[n];
      bytes.flip().asFloatBuffer().get(values);
      decoder.fill(vector, at, values);
      at += n;
    }
  }
}
