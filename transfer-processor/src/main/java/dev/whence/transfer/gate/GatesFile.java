package dev.whence.transfer.gate;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineException;
import dev.whence.engine.weights.UntrustedJson;
import dev.whence.runtime.models.ModelLocation;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.merge.Directories;
import dev.whence.transfer.merge.MergeRun;
import dev.whence.transfer.merge.RequestFile;
import dev.whence.transfer.merge.TransferRequest;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a gated run was asked, beside its candidate, so that {@code resume} needs no more than the
 * output. A command that judges is none of it, nor is a page's place: nothing that lies in a file
 * is ever executed, or decides what is written over.
 *
 * @param dtype of the engine's scoring, as the command line names it
 */
public record GatesFile(TransferRequest request, GateOptions limits, String dtype) {
  /** Where it lies. */
  static Path path(Path output) {
    Path candidate = GatedTransfer.candidate(output);
    return candidate.resolveSibling(candidate.getFileName() + ".gates.json");
  }

  void write(Path output) throws IOException {
    ObjectNode root = UntrustedJson.mapper().createObjectNode();
    root.set("request", RequestFile.json(request));
    ObjectNode gates = root.putObject("gates");
    gates.put("task-set", limits.taskSet().toAbsolutePath().toString());
    gates.put("general-set", limits.generalSet().toAbsolutePath().toString());
    gates.put("barrier-limit", limits.barrierLimit());
    gates.put("task-tolerance", limits.taskTolerance());
    gates.put("general-tolerance", limits.generalTolerance());
    limits.sweep().forEach(gates.putArray("sweep")::add);
    gates.put("dtype", dtype);
    Path path = path(output);
    Path beside = path.resolveSibling(path.getFileName() + ".writing");
    Files.deleteIfExists(beside); // a link would be followed
    MergeRun.writeForced(beside, root.toPrettyString().getBytes(StandardCharsets.UTF_8));
    Directories.move(beside, path);
  }

  static void remove(Path output) throws IOException {
    Path path = path(output);
    Files.deleteIfExists(path);
    Files.deleteIfExists(path.resolveSibling(path.getFileName() + ".writing"));
  }

  /**
   * What a run to an output was asked that was cut off, if it says so.
   *
   * @throws TransferException if it is there and can not be read, or was altered
   */
  public static Optional<GatesFile> find(Path output) {
    Path path = path(output);
    if (!Files.isRegularFile(path)) {
      return Optional.empty();
    }
    try {
      JsonNode root = UntrustedJson.object(UntrustedJson.bytes(path), path.toString());
      JsonNode gates = root.path("gates");
      List<Double> sweep = new ArrayList<>();
      gates.path("sweep").forEach(value -> sweep.add(value.asDouble(Double.NaN)));
      return Optional.of(
          new GatesFile(
              RequestFile.request(root.path("request")),
              new GateOptions(
                  ModelLocation.path(gates.path("task-set").asText()),
                  ModelLocation.path(gates.path("general-set").asText()),
                  gates.path("barrier-limit").asDouble(Double.NaN),
                  gates.path("task-tolerance").asDouble(Double.NaN),
                  gates.path("general-tolerance").asDouble(Double.NaN),
                  sweep),
              gates.path("dtype").asText()));
    } catch (IllegalArgumentException | EngineException | TransferException e) {
      throw new TransferException(
          path
              + " is not what a run wrote ("
              + e.getMessage()
              + "): remove it, and give the 'transfer run --gates' command again",
          e);
    }
  }
}
