package dev.whence.engine.kernel;

import dev.whence.engine.weights.ModelConfig;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * The text of a decoder kernel, and the TorchScript archive made of it.
 *
 * <p>An archive is a zip of uncompressed entries: {@code data.pkl} (a pickled object of class
 * Decoder with one attribute, training), {@code constants.pkl} (an empty tuple), {@code version}
 * and {@code code/__torch__.py}, the source of the class. So a kernel is a text resource, and
 * nothing but the native library is needed to compile it.
 *
 * @param source methods of the class, in the serialised form of TorchScript
 */
record KernelText(String source) {
  private static final String HEADER =
      """
      class Decoder(Module):
        __parameters__ = []
        __buffers__ = []
        training : bool
      """;

  /** The archive format whose operators the texts are written for (libtorch 2.x). */
  private static final String FORMAT_VERSION = "10\n";

  /** The kernel of a family: the shared text, then the family's. */
  static KernelText of(String family) {
    return new KernelText(
        HEADER
            + resource("shared.torchscript.txt")
            + resource("branches.torchscript.txt")
            + resource(family + ".torchscript.txt"));
  }

  /**
   * The training kernel of a model: the shared text, the shared training text, the family's, and
   * the model's numbers as methods.
   *
   * @param rounded whether linear products are computed of numbers in bf16
   * @param logitRoom logits that are computed at once where a model is tapped
   */
  static KernelText training(
      ModelConfig config,
      ParameterLayout layout,
      List<LinearLayer> taps,
      boolean rounded,
      int logitRoom) {
    String family = config.isGptNeoX() ? "gpt_neox" : "llama";
    String numbers =
        constant("places", "List[int]", layout.places())
            + constant(
                "shape",
                "List[int]",
                List.of(
                    config.heads(),
                    config.keyValueHeads(),
                    config.headDim(),
                    config.rotary().dimensions() / 2,
                    config.parallelResidual() ? 1 : 0,
                    config.activation().equals("gelu") ? 1 : 0,
                    config.slidingWindow(),
                    config.layers()))
            + constant("epsilon", "float", config.normEpsilon())
            + constant("rounded", "bool", rounded ? "True" : "False")
            + constant("logitRoom", "int", logitRoom)
            + constant("taps", "List[int]", LinearLayer.taps(config, taps));
    return new KernelText(
        HEADER
            + resource("shared.torchscript.txt")
            + resource("training.torchscript.txt")
            + resource(family + ".training.torchscript.txt")
            + numbers);
  }

  /** Products and decompositions of matrices, of no model. */
  static KernelText matrices() {
    return new KernelText(
        HEADER + resource("shared.torchscript.txt") + resource("matrices.torchscript.txt"));
  }

  private static String constant(String name, String type, Object value) {
    return "  def %s(self: __torch__.Decoder) -> %s:%n    return %s%n".formatted(name, type, value);
  }

  private static String resource(String name) {
    try (InputStream in =
        Objects.requireNonNull(KernelText.class.getResourceAsStream(name), name)) {
      // comments in the first column would end the class
      return new String(in.readAllBytes(), StandardCharsets.UTF_8)
          .lines()
          .filter(line -> !line.startsWith("#"))
          .collect(Collectors.joining("\n", "", "\n"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The archive, as the native library loads it. */
  InputStream archive() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
      store(zip, "decoder/data.pkl", pickledDecoder());
      store(zip, "decoder/code/__torch__.py", source.getBytes(StandardCharsets.UTF_8));
      // protocol 2, empty tuple, stop
      store(zip, "decoder/constants.pkl", new byte[] {(byte) 0x80, 2, ')', '.'});
      store(zip, "decoder/version", FORMAT_VERSION.getBytes(StandardCharsets.US_ASCII));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return new ByteArrayInputStream(bytes.toByteArray());
  }

  /** Pickle of {@code __torch__.Decoder} with state {"training": False}. */
  private static byte[] pickledDecoder() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(new byte[] {(byte) 0x80, 2}); // PROTO 2
    out.writeBytes("c__torch__\nDecoder\n".getBytes(StandardCharsets.US_ASCII)); // GLOBAL
    out.writeBytes(new byte[] {'q', 0, ')', (byte) 0x81, '}', 'q', 1}); // PUT, (), NEWOBJ, {}, PUT
    byte[] name = "training".getBytes(StandardCharsets.US_ASCII);
    out.writeBytes(new byte[] {'X', (byte) name.length, 0, 0, 0}); // BINUNICODE
    out.writeBytes(name);
    out.writeBytes(new byte[] {'q', 2, (byte) 0x89, 's', 'b', '.'}); // PUT, False, SETITEM, BUILD
    return out.toByteArray();
  }

  private static void store(ZipOutputStream zip, String name, byte[] content) throws IOException {
    ZipEntry entry = new ZipEntry(name);
    entry.setMethod(ZipEntry.STORED);
    entry.setSize(content.length);
    CRC32 crc = new CRC32();
    crc.update(content);
    entry.setCrc(crc.getValue());
    entry.setTime(0);
    zip.putNextEntry(entry);
    zip.write(content);
    zip.closeEntry();
  }
}
