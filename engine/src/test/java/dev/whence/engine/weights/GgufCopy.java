package dev.whence.engine.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** Writes a GGUF file once more, with other metadata: the tensors stay as they are. */
final class GgufCopy {
  private static final int ALIGNMENT = 32;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();

  private GgufCopy() {}

  /**
   * A copy of a fixture.
   *
   * @param change to the values that {@link GgufMetadata} describes
   */
  static Path write(String fixture, Consumer<Map<String, Object>> change, Path target)
      throws IOException {
    try (GgufFile file = GgufFile.open(Fixtures.path("weights/" + fixture))) {
      Map<String, Object> values = new TreeMap<>(file.metadata().values());
      change.accept(values);
      return Files.write(target, new GgufCopy().bytes(file, values));
    }
  }

  private byte[] bytes(GgufFile file, Map<String, Object> values) {
    List<GgufFile.Entry> tensors =
        file.entries().values().stream()
            .sorted(Comparator.comparingLong(GgufFile.Entry::position))
            .toList();
    out.writeBytes("GGUF".getBytes(StandardCharsets.UTF_8));
    int32(3);
    int64(tensors.size());
    int64(values.size());
    values.forEach(
        (key, value) -> {
          string(key);
          value(value);
        });
    long offset = 0;
    for (GgufFile.Entry tensor : tensors) {
      string(tensor.name());
      int32(tensor.shape().size());
      tensor.shape().forEach(this::int64);
      int32(id(tensor.type()));
      int64(offset);
      offset = (offset + tensor.byteLength() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    for (GgufFile.Entry tensor : tensors) {
      align();
      byte[] data = new byte[(int) tensor.byteLength()];
      file.file().read(tensor.position(), ByteBuffer.wrap(data));
      out.writeBytes(data);
    }
    return out.toByteArray();
  }

  private void value(Object value) {
    if (value instanceof Long number) {
      int32(11);
      int64(number);
    } else if (value instanceof Double number) {
      int32(12);
      int64(Double.doubleToLongBits(number));
    } else if (value instanceof Boolean flag) {
      int32(7);
      out.write(flag ? 1 : 0);
    } else if (value instanceof String text) {
      int32(8);
      string(text);
    } else if (value instanceof List<?> texts) {
      int32(9);
      int32(8);
      int64(texts.size());
      texts.forEach(text -> string((String) text));
    } else if (value instanceof long[] numbers) {
      int32(9);
      int32(11);
      int64(numbers.length);
      for (long number : numbers) {
        int64(number);
      }
    } else {
      throw new IllegalArgumentException("no value of a fixture: " + value);
    }
  }

  private static int id(GgufType type) {
    return IntStream.range(0, 64)
        .filter(id -> GgufType.of(id).equals(Optional.of(type)))
        .findFirst()
        .orElseThrow();
  }

  private void string(String text) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    int64(bytes.length);
    out.writeBytes(bytes);
  }

  private void align() {
    while (out.size() % ALIGNMENT != 0) {
      out.write(0);
    }
  }

  private void int32(int value) {
    out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
  }

  private void int64(long value) {
    out.writeBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
  }
}
