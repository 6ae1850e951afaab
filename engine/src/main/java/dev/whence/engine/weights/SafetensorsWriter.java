package dev.whence.engine.weights;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.files.FileProblem;
import dev.whence.files.OwnFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Writes a safetensors file as Hugging Face's library does: tensors in name order without holes,
 * the header padded to eight bytes, metadata {@code format=pt}. Tensors are read in pieces, and
 * rounded once, to nearest even. The file appears under its name only when it is complete and on
 * disk.
 */
public final class SafetensorsWriter {
  private static final int CHUNK_ELEMENTS = 1 << 20;

  private SafetensorsWriter() {}

  /** A tensor to be written. */
  public record Tensor(String name, List<Long> shape, Values values) {
    public Tensor {
      shape = List.copyOf(shape);
    }

    long elements() {
      return shape.stream().reduce(1L, Math::multiplyExact);
    }
  }

  /** Where a tensor's elements come from. */
  public interface Values {
    /** Elements [offset, offset + n), row-major. */
    float[] read(long offset, int n);
  }

  /**
   * Writes a file, in place of one that is there.
   *
   * @param type of the elements in the file
   * @param metadata beside {@code format=pt}
   * @throws EngineException of kind ENVIRONMENT if it can not be written (nothing is left behind
   *     then), MODEL if an element is not finite in that type
   */
  public static void write(
      Path file, ElementType type, List<Tensor> tensors, Map<String, String> metadata) {
    List<Tensor> sorted = tensors.stream().sorted(Comparator.comparing(Tensor::name)).toList();
    Path beside = file.resolveSibling(file.getFileName() + ".writing");
    try {
      try (FileChannel out = OwnFile.begin(beside)) {
        writeAll(out, header(sorted, type, metadata));
        for (Tensor tensor : sorted) {
          write(out, tensor, type);
        }
        out.force(true);
      }
      Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      discard(beside);
      throw new EngineException(
          Kind.ENVIRONMENT,
          file + " could not be written " + FileProblem.unwritten(e, file) + ".",
          e);
    } catch (UncheckedIOException e) {
      discard(beside);
      throw new EngineException(
          Kind.ENVIRONMENT,
          file
              + " could not be written: what goes into it can not be read ("
              + Objects.requireNonNull(e.getCause()).getMessage()
              + ").",
          e);
    } catch (EngineException e) {
      discard(beside);
      throw e;
    }
  }

  private static void discard(Path beside) {
    try {
      Files.deleteIfExists(beside);
    } catch (IOException ignored) {
      // the first failure is the one to report
    }
  }

  private static ByteBuffer header(
      List<Tensor> tensors, ElementType type, Map<String, String> metadata) {
    return SafetensorsHeader.of(
        tensors.stream()
            .map(
                tensor ->
                    new SafetensorsHeader.Tensor(
                        tensor.name(),
                        type.name(),
                        tensor.shape(),
                        Math.multiplyExact(tensor.elements(), (long) type.bytes())))
            .toList(),
        metadata);
  }

  private static void write(FileChannel out, Tensor tensor, ElementType type) throws IOException {
    long elements = tensor.elements();
    ByteBuffer bytes =
        ByteBuffer.allocate((int) Math.min(elements, CHUNK_ELEMENTS) * type.bytes())
            .order(ByteOrder.LITTLE_ENDIAN);
    for (long at = 0; at < elements; ) {
      float[] values = tensor.values().read(at, (int) Math.min(CHUNK_ELEMENTS, elements - at));
      bytes.clear();
      for (float value : values) {
        put(bytes, value, type, tensor.name());
      }
      writeAll(out, bytes.flip());
      at += values.length;
    }
  }

  private static void put(ByteBuffer bytes, float value, ElementType type, String name) {
    boolean finite = Float.isFinite(value);
    switch (type) {
      case F32 -> bytes.putFloat(value);
      case BF16 -> {
        short rounded = SixteenBits.toBf16(value);
        finite &= (rounded & 0x7f80) != 0x7f80;
        bytes.putShort(rounded);
      }
      case F16 -> {
        short rounded = SixteenBits.toF16(value);
        finite &= (rounded & 0x7c00) != 0x7c00;
        bytes.putShort(rounded);
      }
    }
    if (!finite) {
      throw new EngineException(
          Kind.MODEL, "Tensor " + name + " has a value that is not finite in " + type + ".");
    }
  }

  private static void writeAll(FileChannel out, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      out.write(bytes);
    }
  }
}
