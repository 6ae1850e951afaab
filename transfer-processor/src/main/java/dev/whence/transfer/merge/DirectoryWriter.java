package dev.whence.transfer.merge;

import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.SafetensorsHeader;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.files.FileProblem;
import dev.whence.transfer.TransferException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Writes a model directory of one safetensors file that appears under its name only when it is
 * complete and on disk. Tensors are written in the order in which they were announced; numbers are
 * rounded once, to nearest even.
 */
public final class DirectoryWriter implements AutoCloseable {
  /** Metadata of the weights of a diff vector: it has the texts of a model, but is none. */
  public static final Map<String, String> OF_DIFF = Map.of("whence.kind", "diff");

  private final Staging staging;
  private final FileChannel channel;
  private final ByteBuffer buffer =
      ByteBuffer.allocateDirect(TensorReader.PIECE * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  private long left;

  /**
   * Begins a directory.
   *
   * @param tensors in the order in which they will be written
   * @param metadata of the file, {@link #OF_DIFF} or none
   * @throws TransferException if something is there already or can not be written
   */
  public DirectoryWriter(
      Path output, List<SafetensorsHeader.Tensor> tensors, Map<String, String> metadata) {
    left = tensors.stream().mapToLong(SafetensorsHeader.Tensor::bytes).sum();
    TransferException.refuse(problems(output, left));
    try {
      staging = Staging.lock(output);
    } catch (IOException e) {
      throw failed(output, e);
    }
    try {
      staging.discard();
      staging.create();
      channel =
          begun(
              staging.result().resolve(SafetensorsShards.SINGLE),
              SafetensorsHeader.of(tensors, metadata));
    } catch (IOException e) {
      abandon(e);
      throw failed(output, e);
    } catch (RuntimeException e) {
      abandon(e);
      throw e;
    }
  }

  /** A file with its header; where that can not be written nothing stays open. */
  private static FileChannel begun(Path file, ByteBuffer header) throws IOException {
    FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    boolean whole = false;
    try {
      write(channel, header);
      whole = true;
      return channel;
    } finally {
      if (!whole) {
        channel.close();
      }
    }
  }

  /** Nobody closes what was not made: others may write to the output at once. */
  private void abandon(Exception why) {
    try (staging) {
      staging.discard();
    } catch (IOException e) {
      why.addSuppressed(e);
    }
  }

  /**
   * Why a directory could not be written, so that it is known before hours of reading.
   *
   * @param bytes of all tensors, as far as they are known
   */
  public static List<String> problems(Path output, long bytes) {
    if (Files.exists(output, LinkOption.NOFOLLOW_LINKS)) {
      return List.of(output + " exists: give another output, or remove it");
    }
    try {
      return OutputState.shortOfSpace(bytes + OutputState.SPARE_BYTES, output, 0).stream().toList();
    } catch (IOException e) {
      throw failed(output, e);
    }
  }

  private static TransferException failed(Path output, IOException e) {
    return new TransferException(
        output + " can not be written " + FileProblem.unwritten(e, output), e);
  }

  private static void write(FileChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }

  /** Writes the next elements, rounded to a type. */
  public void write(ElementType type, double[] values, int n) {
    buffer.clear();
    for (int i = 0; i < n; i++) {
      switch (type) {
        case BF16 -> buffer.putShort((short) Rounding.toBf16(values[i]));
        case F16 -> buffer.putShort((short) Rounding.toF16(values[i]));
        case F32 -> buffer.putInt(Rounding.toF32(values[i]));
      }
    }
    next(buffer.flip());
  }

  /** Writes the next elements of a tensor of F64. */
  public void writeF64(double[] values, int n) {
    buffer.clear();
    buffer.asDoubleBuffer().put(values, 0, n);
    next(buffer.limit(n * Double.BYTES));
  }

  /** Writes the next elements of a tensor of I64. */
  public void writeI64(long[] values, int n) {
    buffer.clear();
    buffer.asLongBuffer().put(values, 0, n);
    next(buffer.limit(n * Long.BYTES));
  }

  /** Copies a tensor of a model as it is. */
  public void copy(TensorReader from, String tensor, long bytes) {
    for (long at = 0; at < bytes; at += TensorReader.PIECE) {
      next(from.raw(tensor, at, (int) Math.min(TensorReader.PIECE, bytes - at)));
    }
  }

  private void next(ByteBuffer bytes) {
    left -= bytes.remaining();
    try {
      write(channel, bytes);
    } catch (IOException e) {
      throw failed(staging.output(), e);
    }
  }

  /** Writes the texts and makes everything visible. */
  public void publish(Map<String, byte[]> texts) {
    if (left != 0) {
      throw new IllegalStateException(left + " bytes of the announced tensors were not written");
    }
    try {
      channel.force(true);
      for (Map.Entry<String, byte[]> text : texts.entrySet()) {
        MergeRun.writeForced(ReleaseTexts.place(staging.result(), text.getKey()), text.getValue());
      }
      staging.publish(true);
    } catch (IOException e) {
      throw failed(staging.output(), e);
    }
  }

  /** Texts of a model as they are, those that a release has. */
  public static Map<String, byte[]> textsOf(TensorReader model) {
    return new TreeMap<>(model.model().texts(ReleaseTexts.READ));
  }

  /**
   * Texts for a target that gets the fine-tuning of another model.
   *
   * @throws TransferException if they do not go together
   */
  public static Map<String, byte[]> textsFor(TensorReader target, TensorReader fineTuned) {
    List<String> problems = new java.util.ArrayList<>();
    Map<String, byte[]> texts =
        ReleaseTexts.of(
            target.model(), fineTuned.model(), Policies.STRICT, Optional.empty(), problems);
    TransferException.refuse(problems);
    return new TreeMap<>(texts);
  }

  /** Whether two models have the same tokens at the same rows. */
  public static boolean sameTokens(TensorReader one, TensorReader other) {
    return vocabulary(one).equals(vocabulary(other));
  }

  private static Map<String, Integer> vocabulary(TensorReader reader) {
    return Vocabulary.read(
            reader.model().json("tokenizer.json"),
            reader.model().directory().resolve("tokenizer.json").toString())
        .ids();
  }

  /** The nearest number of a type, as a double. */
  public static double rounded(ElementType type, double value) {
    return switch (type) {
      case BF16 -> Float.intBitsToFloat(Rounding.toBf16(value) << 16);
      case F16 -> MergeKernel.fromF16((short) Rounding.toF16(value));
      case F32 -> (float) value;
    };
  }

  @Override
  public void close() {
    try (staging) {
      channel.close();
      staging.discard();
    } catch (IOException e) {
      throw failed(staging.output(), e);
    }
  }
}
