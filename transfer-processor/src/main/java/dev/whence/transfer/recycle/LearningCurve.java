package dev.whence.transfer.recycle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.files.FileProblem;
import dev.whence.files.Sha256;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;

/**
 * What was measured of a training run, on disk as it comes: a JSON object per line, appended. The
 * first line says of what: a digest of all that decides the values. Another identity has another
 * file, which its name shows, so that no value is taken for one of another evaluation or other
 * data. A run that goes on from a checkpoint measures some steps again, to the same values: the
 * last line of a step counts. A line that a killed run left half written is passed over.
 */
final class LearningCurve implements FineTuner.Measured {
  private static final int SHOWN = 12;

  private final Path file;

  private LearningCurve(Path file) {
    this.file = file;
  }

  /**
   * The curve of a run, with what was measured of it before.
   *
   * @param output the model that the run makes; the file lies beside it
   * @param identity all that decides the values
   */
  static LearningCurve of(Path output, String identity) {
    String digest = Sha256.of(identity);
    Path file =
        output.resolveSibling(
            output.getFileName() + ".measured-" + digest.substring(0, SHOWN) + ".jsonl");
    String head = UntrustedJson.mapper().createObjectNode().put("identity", digest).toString();
    try {
      // A first line that is not this one was left half written: there is nothing after it.
      if (!Files.exists(file) || !lines(file).get(0).equals(head)) {
        Files.writeString(file, head, StandardCharsets.UTF_8);
      }
    } catch (IOException e) {
      throw new TransferException(
          file + " can not be written (" + FileProblem.of(e, file) + ")", e);
    }
    return new LearningCurve(file);
  }

  /** At least one; a byte that is no UTF-8 spoils its line, not the file. */
  private static List<String> lines(Path file) throws IOException {
    return List.of(new String(Files.readAllBytes(file), StandardCharsets.UTF_8).split("\n", -1));
  }

  @Override
  public boolean has(long step) {
    return points().stream().anyMatch(point -> point.step() == step);
  }

  @Override
  public void add(Measurement measurement) {
    ObjectNode line =
        UntrustedJson.mapper()
            .createObjectNode()
            .put("step", measurement.step())
            .put("loss", measurement.loss())
            .put("exact", measurement.exact())
            .put("questions", measurement.questions());
    try {
      Files.writeString(
          file,
          "\n" + line, // before it: what was half written ends there
          StandardCharsets.UTF_8,
          StandardOpenOption.APPEND);
    } catch (IOException e) {
      throw new TransferException(
          file + " can not be written (" + FileProblem.of(e, file) + ")", e);
    }
  }

  /** By step. */
  List<Measurement> points() {
    TreeMap<Long, Measurement> points = new TreeMap<>();
    List<String> lines;
    try {
      lines = lines(file);
    } catch (IOException e) {
      throw new TransferException(file + " can not be read (" + FileProblem.of(e, file) + ")", e);
    }
    for (String line : lines) {
      read(line).ifPresent(point -> points.put(point.step(), point));
    }
    return new ArrayList<>(points.values());
  }

  private static Optional<Measurement> read(String line) {
    try {
      JsonNode json = UntrustedJson.mapper().readTree(line);
      return json.path("questions").asInt() > 0
          ? Optional.of(
              new Measurement(
                  json.path("step").asLong(),
                  json.path("loss").asDouble(),
                  json.path("exact").asInt(),
                  json.path("questions").asInt()))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    }
  }
}
