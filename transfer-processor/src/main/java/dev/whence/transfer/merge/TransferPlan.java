package dev.whence.transfer.merge;

import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.SafetensorsHeader;
import dev.whence.files.Sha256;
import dev.whence.transfer.TransferException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * A transfer that can be done: three opened models, what becomes of each tensor of the result, the
 * texts, and a name. The id is the SHA-256 of everything that decides the result's bytes: digests
 * of releases where they are known, else names, sizes, times and headers of the files; the texts;
 * factors, policies and the version of this arithmetic. The same request has the same id as long as
 * nobody touches the files.
 */
public final class TransferPlan implements AutoCloseable {
  /** Raised when the same inputs give other bytes. */
  static final int VERSION = 2;

  private final TransferRequest request;
  private final Map<Role, SourceModel> models;
  private final List<Shard> shards;
  private final List<SourceModel.Tensor> unused;
  private final List<String> dropped;
  private final Map<String, byte[]> texts;
  private final String id;
  private final long inputBytes;
  private final long outputBytes;

  /** A file of the result and its tensors, in the order of their data. */
  record Shard(String fileName, List<TensorPlan> tensors) {
    ByteBuffer header() {
      return SafetensorsHeader.of(
          tensors.stream()
              .map(
                  tensor ->
                      new SafetensorsHeader.Tensor(
                          tensor.name(), tensor.dtype(), tensor.shape(), tensor.bytes()))
              .toList(),
          Map.of());
    }

    long dataBytes() {
      return tensors.stream().mapToLong(TensorPlan::bytes).sum();
    }
  }

  /** A line of the dry run. */
  public record Line(String tensor, String dtype, List<Long> shape, String policy) {}

  TransferPlan(
      TransferRequest request,
      Map<Role, SourceModel> models,
      List<Shard> shards,
      List<SourceModel.Tensor> unused,
      List<String> dropped,
      Map<String, byte[]> texts) {
    this.request = request;
    this.models = Map.copyOf(models);
    this.shards = List.copyOf(shards);
    this.unused = List.copyOf(unused);
    this.dropped = List.copyOf(dropped);
    this.texts = texts;
    this.id = id(request, models);
    this.inputBytes =
        models.values().stream()
            .flatMap(model -> model.files().stream())
            .mapToLong(SourceModel.InputFile::size)
            .sum();
    this.outputBytes =
        request.lambdas().size()
            * (shards.stream()
                    .mapToLong(shard -> shard.header().remaining() + shard.dataBytes())
                    .sum()
                + texts.values().stream().mapToLong(bytes -> bytes.length).sum());
  }

  /**
   * Opens the three models and decides on every tensor.
   *
   * @throws TransferException with everything that is wrong
   */
  public static TransferPlan of(TransferRequest request) {
    return new TransferPlanner(request).plan();
  }

  /**
   * What is wrong with a request of which only some of the models were found: so that whoever
   * refuses it can tell all at once.
   *
   * @param found models that exist; the others are not looked at
   */
  public static List<String> problems(TransferRequest request, Set<Role> found) {
    return new TransferPlanner(request).problems(found);
  }

  /** SHA-256, in hex. */
  public String id() {
    return id;
  }

  private static String id(TransferRequest request, Map<Role, SourceModel> models) {
    MessageDigest all = Sha256.begin();
    line(all, "whence-transfer\t" + VERSION);
    for (Role role : Role.values()) {
      SourceModel model = Objects.requireNonNull(models.get(role));
      if (model.expectedDigest().isPresent()) {
        line(all, role.word() + "\tdigest\t" + model.expectedDigest().get());
      } else {
        for (SourceModel.InputFile file : model.files()) {
          line(
              all,
              String.join(
                  "\t",
                  role.word(),
                  file.name(),
                  String.valueOf(file.size()),
                  file.modified().toInstant().toString(),
                  headerDigest(file.file())));
        }
      }
      model
          .texts(ReleaseTexts.READ)
          .forEach((name, bytes) -> line(all, role.word() + "\t" + name + "\t" + Sha256.of(bytes)));
    }
    request.lambdas().forEach(lambda -> line(all, "lambda\t" + Double.toHexString(lambda)));
    request.policies().named().forEach((name, value) -> line(all, name + "\t" + value));
    return HexFormat.of().formatHex(all.digest());
  }

  private static String headerDigest(SafetensorsFile file) {
    long length =
        file.entries().values().stream()
            .mapToLong(SafetensorsFile.Entry::begin)
            .min()
            .orElse(file.file().size());
    ByteBuffer bytes = ByteBuffer.allocate((int) Math.min(length, SafetensorsFile.MAX_HEADER + 8));
    file.file().read(0, bytes);
    return Sha256.of(bytes.array());
  }

  private static void line(MessageDigest digest, String text) {
    digest.update((text + "\n").getBytes(StandardCharsets.UTF_8));
  }

  public TransferRequest request() {
    return request;
  }

  SourceModel model(Role role) {
    return Objects.requireNonNull(models.get(role));
  }

  List<Shard> shards() {
    return shards;
  }

  /** Tensors of base and fine-tuned that nothing reads; they count for the models' digests. */
  List<SourceModel.Tensor> unused() {
    return unused;
  }

  Map<String, byte[]> texts() {
    return texts;
  }

  boolean indexed() {
    return model(Role.TARGET).indexed();
  }

  /** Bytes of all results together. */
  public long outputBytes() {
    return outputBytes;
  }

  /** Bytes that are read or written in all. */
  public long movedBytes() {
    return inputBytes() + outputBytes();
  }

  /** Bytes that are read of the three models. */
  public long inputBytes() {
    return inputBytes;
  }

  /** What happens to each tensor, in the result's order; then what is dropped. */
  public List<Line> lines() {
    List<Line> lines = new ArrayList<>();
    for (Shard shard : shards) {
      for (TensorPlan tensor : shard.tensors()) {
        lines.add(
            new Line(
                SafetensorsFile.printable(tensor.name()),
                tensor.dtype(),
                tensor.shape(),
                tensor.policy()));
      }
    }
    dropped.forEach(
        name -> lines.add(new Line(SafetensorsFile.printable(name), "", List.of(), "drop")));
    return lines;
  }

  @Override
  public void close() {
    models.values().forEach(SourceModel::close);
  }
}
