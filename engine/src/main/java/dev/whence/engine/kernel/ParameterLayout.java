package dev.whence.engine.kernel;

import dev.whence.engine.EngineException;
import dev.whence.engine.EngineException.Kind;
import dev.whence.engine.weights.ExpectedTensors;
import dev.whence.engine.weights.ModelConfig;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;

/**
 * Where each parameter of a model stands in one vector theta, and which slot of the training kernel
 * reads it. Trained parameters come first, so that gradient and moments are vectors of the same
 * order and an update is one pass; among them those that weight decay shrinks.
 *
 * <pre>
 *   theta: | trained, decayed (matrices) | trained (embedding, norms, biases) | frozen |
 *                                        ^ decayed                            ^ trained        ^ total
 * </pre>
 *
 * @param slots in the kernel's order; empty: the model has no such parameter
 * @param decayed elements that are trained and decayed
 * @param trained elements that are trained
 * @param total all elements
 */
public record ParameterLayout(
    List<Optional<Parameter>> slots, long decayed, long trained, long total) {
  /** Projections that one product computes together with the one before. */
  private static final List<String> JOINED = List.of(".k_proj.", ".v_proj.", ".up_proj.");

  /**
   * One parameter, named and shaped as Hugging Face has it.
   *
   * @param name for example {@code model.layers.0.mlp.up_proj.weight}
   * @param shape (rows, columns) or (length)
   * @param offset its first element in theta
   * @param isTrained whether it gets a gradient
   */
  public record Parameter(String name, List<Long> shape, long offset, boolean isTrained) {
    public Parameter {
      shape = List.copyOf(shape);
    }

    public long elements() {
      return shape.stream().reduce(1L, Math::multiplyExact);
    }
  }

  public ParameterLayout {
    slots = List.copyOf(slots);
  }

  /**
   * Lays out the parameters of a model.
   *
   * @param isTrained by name: which parameters are trained
   * @throws EngineException of kind MODEL if none is
   */
  public static ParameterLayout of(ModelConfig config, Predicate<String> isTrained) {
    ParameterLayout layout = place(config, isTrained);
    if (layout.trained() == 0) {
      throw new EngineException(
          Kind.MODEL,
          "No parameter of the model is trained: the names that were asked for are none of its own.");
    }
    return layout;
  }

  /** Lays out the parameters of a model of which none is trained. */
  static ParameterLayout frozen(ModelConfig config) {
    return place(config, name -> false);
  }

  private static ParameterLayout place(ModelConfig config, Predicate<String> isTrained) {
    if (config.isFactored()) {
      throw new EngineException(
          Kind.MODEL,
          "The model's linear layers are kept as factors (whence_ranks in config.json): it scores,"
              + " but is neither trained nor differentiated by its weights. Take the model that it was"
              + " made of.");
    }
    Map<String, List<Long>> shapes = ExpectedTensors.of(config);
    List<String> names = config.isGptNeoX() ? gptNeoX(config) : llama(config);
    List<String> order = new ArrayList<>();
    List<String> present = names.stream().filter(shapes::containsKey).toList();
    present.stream().filter(isTrained).filter(name -> isDecayed(name, shapes)).forEach(order::add);
    long decayed = elements(order, shapes);
    present.stream().filter(isTrained).filter(name -> !isDecayed(name, shapes)).forEach(order::add);
    long trained = elements(order, shapes);
    present.stream().filter(isTrained.negate()).forEach(order::add);
    Map<String, Parameter> placed = new HashMap<>();
    long offset = 0;
    for (String name : order) {
      Parameter parameter = new Parameter(name, shape(name, shapes), offset, offset < trained);
      placed.put(name, parameter);
      offset += parameter.elements();
    }
    return new ParameterLayout(
        names.stream().map(name -> Optional.ofNullable(placed.get(name))).toList(),
        decayed,
        trained,
        offset);
  }

  /** The parameters that the model has, in the kernel's order. */
  public List<Parameter> parameters() {
    return slots.stream().flatMap(Optional::stream).toList();
  }

  /** Matrices of linear layers shrink; embeddings, norms and biases do not. */
  private static boolean isDecayed(String name, Map<String, List<Long>> shapes) {
    return shape(name, shapes).size() == 2 && !isEmbedding(name);
  }

  /** Of tokens; GPT-NeoX's "embed_out" is a head, a linear layer. */
  public static boolean isEmbedding(String name) {
    return name.endsWith("embed_tokens.weight") || name.endsWith("embed_in.weight");
  }

  private static List<Long> shape(String name, Map<String, List<Long>> shapes) {
    return Objects.requireNonNull(shapes.get(name), name);
  }

  private static long elements(List<String> names, Map<String, List<Long>> shapes) {
    return names.stream()
        .mapToLong(name -> shape(name, shapes).stream().reduce(1L, Math::multiplyExact))
        .sum();
  }

  /**
   * Per slot: offset, rows, columns (0: a vector), 1 if trained; what places() of the kernel says.
   * Parameters that a layer reads as one, and that lie one behind the other, have the place of the
   * first.
   */
  List<Long> places() {
    List<Long> places = new ArrayList<>();
    for (int i = 0; i < slots.size(); i++) {
      Optional<Parameter> slot = goesOn(i) ? Optional.empty() : slots.get(i);
      places.add(slot.map(Parameter::offset).orElse(0L));
      places.add(slot.isPresent() ? rowsFrom(i) : 0L);
      places.add(slot.filter(p -> p.shape().size() == 2).map(p -> p.shape().get(1)).orElse(0L));
      places.add(slot.filter(Parameter::isTrained).isPresent() ? 1L : 0L);
    }
    return places;
  }

  /** Of a parameter and those behind it that are read as one with it. */
  private long rowsFrom(int slot) {
    long rows = 0;
    int next = slot;
    do {
      rows += slots.get(next).orElseThrow().shape().get(0);
      next++;
    } while (next < slots.size() && goesOn(next));
    return rows;
  }

  /** Whether a layer reads the slot as one with the slot before, behind which it lies in theta. */
  private boolean goesOn(int slot) {
    Optional<Parameter> parameter = slots.get(slot);
    if (parameter.isEmpty() || JOINED.stream().noneMatch(parameter.get().name()::contains)) {
      return false;
    }
    Parameter before = slots.get(slot - 1).orElseThrow();
    return before.offset() + before.elements() == parameter.get().offset()
        && before.isTrained() == parameter.get().isTrained();
  }

  private static List<String> llama(ModelConfig config) {
    List<String> names =
        new ArrayList<>(
            List.of("model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"));
    for (int l = 0; l < config.layers(); l++) {
      String layer = "model.layers." + l + ".";
      for (String name :
          List.of(
              "input_layernorm.weight",
              "self_attn.q_proj.weight",
              "self_attn.k_proj.weight",
              "self_attn.v_proj.weight",
              "self_attn.q_proj.bias",
              "self_attn.k_proj.bias",
              "self_attn.v_proj.bias",
              "self_attn.q_norm.weight",
              "self_attn.k_norm.weight",
              "self_attn.o_proj.weight",
              "self_attn.o_proj.bias",
              "post_attention_layernorm.weight",
              "mlp.gate_proj.weight",
              "mlp.up_proj.weight",
              "mlp.down_proj.weight",
              "mlp.gate_proj.bias",
              "mlp.up_proj.bias",
              "mlp.down_proj.bias")) {
        names.add(layer + name);
      }
    }
    return names;
  }

  private static List<String> gptNeoX(ModelConfig config) {
    List<String> names =
        new ArrayList<>(
            List.of(
                "gpt_neox.embed_in.weight",
                "embed_out.weight",
                "gpt_neox.final_layer_norm.weight",
                "gpt_neox.final_layer_norm.bias"));
    for (int l = 0; l < config.layers(); l++) {
      String layer = "gpt_neox.layers." + l + ".";
      for (String name :
          List.of(
              "input_layernorm.weight",
              "input_layernorm.bias",
              "attention.query_key_value.weight",
              "attention.query_key_value.bias",
              "attention.dense.weight",
              "attention.dense.bias",
              "post_attention_layernorm.weight",
              "post_attention_layernorm.bias",
              "mlp.dense_h_to_4h.weight",
              "mlp.dense_h_to_4h.bias",
              "mlp.dense_4h_to_h.weight",
              "mlp.dense_4h_to_h.bias")) {
        names.add(layer + name);
      }
    }
    return names;
  }
}
