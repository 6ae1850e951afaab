package dev.whence.influence.compression;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.EngineOptions;
import dev.whence.engine.kernel.LinearLayer;
import dev.whence.engine.kernel.Matrices;
import dev.whence.engine.training.TrainedModel;
import dev.whence.engine.weights.ElementType;
import dev.whence.engine.weights.ModelConfig;
import dev.whence.engine.weights.ModelFiles;
import dev.whence.engine.weights.SafetensorsWriter;
import dev.whence.engine.weights.TensorInfo;
import dev.whence.engine.weights.WeightSource;
import dev.whence.files.FileProblem;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.OutputPlace;
import dev.whence.influence.ekfac.EkfacFactors;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * A model with its linear layers kept as two factors of low rank, chosen by {@link
 * FisherWeightedSvd} with the Fisher information that its factors have: a cheaper model of the same
 * tokenizer and width, as a proxy for the FAST role.
 *
 * <p>What is written is a Hugging Face directory of this engine: {@code whence_ranks} in
 * config.json says the ranks of each layer, {@code *.weight_a} and {@code *.weight_b} stand for
 * {@code *.weight}. Products whose layers have no factors stay as they are, and so do embeddings,
 * norms, biases and head. Other libraries do not know the key.
 */
public final class Compression {
  private static final int PRODUCTS = 4;

  /**
   * How much is kept.
   *
   * @param rank of each product; empty: by share
   * @param share of each product's elements that stays, above 0 and below 1; not used with a rank
   * @param store element type of the weights on disk
   */
  public record Options(Optional<Integer> rank, double share, ElementType store) {
    public Options {
      if (rank.isPresent() && rank.get() < 1) {
        throw new InfluenceException(
            "rank " + rank.get() + " is none: a product keeps at least a rank of 1.");
      }
      if (rank.isEmpty() && !(share > 0 && share < 1)) {
        throw new InfluenceException(
            "share " + share + " is none: a share above 0 and below 1 of the elements is kept.");
      }
    }

    /** The rank of a product [outputs, inputs]: r (O + I) elements in place of O I. */
    int rank(long outputs, long inputs) {
      long most = Math.min(outputs, inputs);
      long wanted =
          rank.isPresent()
              ? rank.get()
              : (long) (share * outputs * inputs / (double) (outputs + inputs));
      return (int) Math.max(1, Math.min(most, wanted));
    }
  }

  /**
   * A product that was factored.
   *
   * @param layers its projections
   * @param rank that was kept
   * @param error share of the product's weighted size that is lost, from 0 to 1
   * @param before elements before
   * @param after elements after
   */
  public record Product(List<String> layers, int rank, double error, long before, long after) {
    public Product {
      layers = List.copyOf(layers);
    }
  }

  private final Path model;
  private final Path factors;
  private final Options options;

  /**
   * @param model a Hugging Face directory of a Llama-like model
   * @param factors of that model
   */
  public Compression(Path model, Path factors, Options options) {
    this.model = model;
    this.factors = factors;
    this.options = options;
  }

  /**
   * Writes the model.
   *
   * @param output directory that is not there yet, or empty
   * @param each gets every product
   * @throws InfluenceException if the factors are another model's, the family has no factored
   *     kernel, or the output can not be written
   */
  public List<Product> write(Path output, EngineOptions engine, Consumer<Product> each) {
    checkEmpty(output);
    List<Product> products = new ArrayList<>();
    Map<String, byte[]> files = TrainedModel.filesOf(model);
    if (!files.containsKey("config.json")) {
      throw new InfluenceException(
          model + " is no Hugging Face directory: what is compressed needs a config.json.");
    }
    try (ModelFiles opened = ModelFiles.open(model);
        Matrices matrices = Matrices.open(engine);
        EkfacFactors read = EkfacFactors.read(factors, matrices)) {
      read.checkModel(opened.name(), opened.digest());
      check(opened.config());
      WeightSource weights = opened.weights();
      Map<String, SafetensorsWriter.Tensor> tensors = new TreeMap<>();
      weights.tensors().forEach((name, info) -> tensors.put(name, kept(weights, info)));
      int[][] ranks = new int[opened.config().layers()][PRODUCTS];
      FisherWeightedSvd svd = new FisherWeightedSvd(matrices);
      for (List<LinearLayer> layers : products(read, opened.config())) {
        Product product = factor(svd, read, layers, weights, matrices, tensors);
        int number = layers.get(0).product();
        ranks[number / PRODUCTS][number % PRODUCTS] = product.rank();
        products.add(product);
        each.accept(product);
      }
      write(output, files, List.copyOf(tensors.values()), ranks);
    }
    return products;
  }

  private static void checkEmpty(Path output) {
    OutputPlace.check(output);
    if (!Files.exists(output)) {
      return;
    }
    try (Stream<Path> there = Files.list(output)) {
      if (there.findAny().isPresent()) {
        throw new InfluenceException(output + " is not empty: give another --output.");
      }
    } catch (IOException e) {
      throw new InfluenceException(
          output + " is no directory that can be read: give another --output.", e);
    }
  }

  private static void check(ModelConfig config) {
    if (config.isGptNeoX() || config.isFactored()) {
      throw new InfluenceException(
          config.isFactored()
              ? "The model was compressed before: take the one that it was made of."
              : "Models of type gpt_neox have no kernel for factored layers: Llama-like ones do.");
    }
  }

  /** Layers with factors by product; products of which only a part has them stay as they are. */
  private static List<List<LinearLayer>> products(EkfacFactors factors, ModelConfig config) {
    Map<Integer, Integer> parts = new LinkedHashMap<>();
    LinearLayer.of(config).forEach(layer -> parts.merge(layer.product(), 1, Integer::sum));
    Map<Integer, List<LinearLayer>> products = new TreeMap<>();
    for (LinearLayer layer : factors.layers()) {
      products.computeIfAbsent(layer.product(), product -> new ArrayList<>()).add(layer);
    }
    List<List<LinearLayer>> whole =
        products.entrySet().stream()
            .filter(entry -> entry.getValue().size() == parts.getOrDefault(entry.getKey(), 0))
            .map(Map.Entry::getValue)
            .toList();
    if (whole.isEmpty()) {
      throw new InfluenceException(
          "The factors have no product whole, such as gate and up together: compute them with"
              + " --layers all, mlp or attention.");
    }
    return whole;
  }

  private Product factor(
      FisherWeightedSvd svd,
      EkfacFactors read,
      List<LinearLayer> layers,
      WeightSource weights,
      Matrices matrices,
      Map<String, SafetensorsWriter.Tensor> tensors) {
    int inputs = layers.get(0).bias() ? layers.get(0).inputs() - 1 : layers.get(0).inputs();
    int outputs = layers.stream().mapToInt(LinearLayer::outputs).sum();
    KroneckerFisher fisher = KroneckerFisher.of(read, layers, matrices);
    List<FisherWeightedSvd.Projection> projections = new ArrayList<>();
    for (int i = 0; i < layers.size(); i++) {
      LinearLayer layer = layers.get(i);
      float[] w = weights.floats(layer.name() + ".weight", 0, layer.outputs() * inputs);
      double[] values = new double[w.length];
      for (int j = 0; j < w.length; j++) {
        values[j] = w[j];
      }
      projections.add(
          new FisherWeightedSvd.Projection(layer.outputs(), values, fisher.gradients().get(i)));
    }
    int rank = options.rank(outputs, inputs);
    FisherWeightedSvd.Factored factored = svd.factor(projections, inputs, fisher.inputs(), rank);
    put(tensors, firstName(layers), List.of((long) rank, (long) inputs), factored.first());
    for (int i = 0; i < layers.size(); i++) {
      LinearLayer layer = layers.get(i);
      tensors.remove(layer.name() + ".weight");
      put(
          tensors,
          layer.name() + ".weight_b",
          List.of((long) layer.outputs(), (long) rank),
          factored.seconds().get(i));
    }
    return new Product(
        layers.stream().map(LinearLayer::name).toList(),
        rank,
        factored.size() > 0 ? factored.error() / factored.size() : 0,
        (long) outputs * inputs,
        (long) rank * (outputs + inputs));
  }

  /** The name of A: the product's. */
  private static String firstName(List<LinearLayer> layers) {
    String name = layers.get(0).name();
    return switch (layers.get(0).product() % PRODUCTS) {
          case 0 -> name.replace(".q_proj", ".qkv_proj");
          case 2 -> name.replace(".gate_proj", ".gate_up_proj");
          default -> name;
        }
        + ".weight_a";
  }

  private static void put(
      Map<String, SafetensorsWriter.Tensor> tensors,
      String name,
      List<Long> shape,
      double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    tensors.put(
        name,
        new SafetensorsWriter.Tensor(
            name,
            shape,
            (offset, n) -> Arrays.copyOfRange(floats, (int) offset, (int) offset + n)));
  }

  private static SafetensorsWriter.Tensor kept(WeightSource weights, TensorInfo info) {
    return new SafetensorsWriter.Tensor(
        info.name(), info.shape(), (offset, n) -> weights.floats(info.name(), offset, n));
  }

  private void write(
      Path output,
      Map<String, byte[]> files,
      List<SafetensorsWriter.Tensor> tensors,
      int[][] ranks) {
    try {
      Files.createDirectories(output);
      for (Map.Entry<String, byte[]> file : files.entrySet()) {
        TrainedModel.put(
            output,
            file.getKey(),
            file.getKey().equals("config.json") ? config(file.getValue(), ranks) : file.getValue());
      }
    } catch (IOException e) {
      throw new InfluenceException(
          output + " could not be written " + FileProblem.unwritten(e, output) + ".", e);
    }
    SafetensorsWriter.write(
        output.resolve("model.safetensors"), options.store(), tensors, Map.of());
  }

  private byte[] config(byte[] before, int[][] ranks) throws IOException {
    ObjectNode json = (ObjectNode) JsonMapper.builder().build().readTree(before);
    ArrayNode list = json.putArray("whence_ranks");
    for (int[] layer : ranks) {
      ArrayNode four = list.addArray();
      for (int rank : layer) {
        four.add(rank);
      }
    }
    return TrainedModel.stored(
        json.toPrettyString().getBytes(StandardCharsets.UTF_8), options.store());
  }
}
