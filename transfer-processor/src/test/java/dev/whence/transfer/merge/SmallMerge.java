package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.engine.weights.ElementType;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/** Three small models, and the place where what a merge makes of them is put. */
final class SmallMerge {
  static final String ONE = "model-00001-of-00002.safetensors";
  static final String TWO = "model-00002-of-00002.safetensors";

  final Path base;
  final Path fineTuned;
  final Path target;
  Path output;

  private final Path directory;
  private final MergeOptions options;

  /** Nothing is written before {@link #write}. */
  SmallMerge(Path directory, MergeOptions options) {
    this.directory = directory;
    this.options = options;
    base = directory.resolve("base");
    fineTuned = directory.resolve("fine-tuned");
    target = directory.resolve("target");
    output = directory.resolve("merged");
  }

  /** Writes the three models. */
  void write() throws IOException {
    folder(1, 2, 3).write(base);
    folder(4, 5, 6).write(fineTuned);
    folder(7, 8, 9).write(target);
  }

  static ModelFolder folder(long first, long second, long third) {
    return new ModelFolder()
        .random(ONE, "model.embed_tokens.weight", ElementType.BF16, first, 4L, 700L)
        .random(ONE, "model.layers.0.a.weight", ElementType.BF16, second, 300L, 2000L)
        .random(TWO, "model.norm.weight", ElementType.F32, third, 700L)
        .add(TWO, new ModelFolder.Raw("steps", "I64", List.of(1L), random(8, 1)));
  }

  /** Bytes that no other seed gives: zeros would be right wherever nothing was written. */
  static byte[] random(int bytes, long seed) {
    byte[] random = new byte[bytes];
    new Random(seed).nextBytes(random);
    return random;
  }

  static ModelFolder.Raw mask(byte[] bytes) {
    return new ModelFolder.Raw("mask", "U8", List.of((long) bytes.length), bytes);
  }

  TransferRequest request() {
    return TransferRequest.of(base, fineTuned, target);
  }

  Published run(TransferRequest request) {
    return run(request, options);
  }

  Published run(TransferRequest request, MergeOptions options) {
    try (TransferPlan plan = TransferPlan.of(request)) {
      return MergeRun.run(plan, output, options, MergeProgress.NONE);
    }
  }

  /** The bytes of a tensor. */
  static byte[] bytes(Path model, String tensor) {
    try (SourceModel files = SourceModel.open(Role.TARGET, model, Optional.empty())) {
      SourceModel.Tensor found = files.tensors().get(tensor);
      ByteBuffer bytes = ByteBuffer.allocate((int) found.entry().byteLength());
      found.read(0, bytes);
      return bytes.array();
    }
  }

  /** A file of the result. */
  JsonNode json(String file) throws IOException {
    return new ObjectMapper().readTree(output.resolve(file).toFile());
  }

  /** Beside the result nothing of a run is left. */
  void assertNoTraces() throws IOException {
    try (var files = Files.list(directory)) {
      assertThat(files.filter(file -> file.getFileName().toString().startsWith("."))).isEmpty();
    }
  }
}
