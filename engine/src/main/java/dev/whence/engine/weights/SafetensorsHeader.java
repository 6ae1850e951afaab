package dev.whence.engine.weights;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Writes what {@link SafetensorsFile} reads: the length, and the JSON object with the place of each
 * tensor, padded by spaces to eight bytes. Tensors follow each other without holes in the order
 * given; metadata always says {@code format=pt}.
 */
public final class SafetensorsHeader {
  private static final int ALIGNMENT = 8;

  private SafetensorsHeader() {}

  /** A tensor that is to follow the one before it. */
  public record Tensor(String name, String dtype, List<Long> shape, long bytes) {
    public Tensor {
      shape = List.copyOf(shape);
    }
  }

  /** The bytes before the first tensor's data, ready to be read. */
  public static ByteBuffer of(List<Tensor> tensors, Map<String, String> metadata) {
    ObjectNode root = JsonMapper.builder().build().createObjectNode();
    ObjectNode about = root.putObject("__metadata__");
    new TreeMap<>(metadata).forEach(about::put);
    about.put("format", "pt");
    long at = 0;
    for (Tensor tensor : tensors) {
      ObjectNode entry = root.putObject(tensor.name());
      entry.put("dtype", tensor.dtype());
      tensor.shape().forEach(entry.putArray("shape")::add);
      long end = Math.addExact(at, tensor.bytes());
      entry.putArray("data_offsets").add(at).add(end);
      at = end;
    }
    byte[] json = root.toString().getBytes(StandardCharsets.UTF_8);
    int padded = (json.length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    ByteBuffer header =
        ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN).putLong(padded);
    header.put(json);
    while (header.hasRemaining()) {
      header.put((byte) ' ');
    }
    return header.flip();
  }
}
