package dev.whence.transfer.merge;

import dev.whence.engine.EngineException;
import dev.whence.engine.weights.SafetensorsFile;
import dev.whence.engine.weights.SafetensorsShards;
import dev.whence.transfer.TransferException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;

/** Opens the models and matches tensors, taking note of everything that does not fit. */
final class TransferPlanner {
  /** Tensors with a row for each token, by the last parts of their name. */
  private static final List<String> EMBEDDINGS =
      List.of("embed_tokens.weight", "gpt_neox.embed_in.weight", "wte.weight");

  private static final List<String> HEADS =
      List.of("lm_head.weight", "embed_out.weight", "lm_head.bias", "embed_out.bias");

  private static final List<String> FLOATS = List.of("F32", "F16", "BF16");
  private static final List<String> OTHER_FLOATS = List.of("F64", "F8_E5M2", "F8_E4M3");

  private final TransferRequest request;
  private final Policies policies;
  private final List<String> problems = new ArrayList<>();
  private final Map<Role, SourceModel> models = new HashMap<>();
  private final Map<Role, Set<String>> used = new HashMap<>();
  private Optional<VocabularyAlignment> alignment = Optional.empty();

  TransferPlanner(TransferRequest request) {
    this.request = request;
    this.policies = request.policies();
  }

  TransferPlan plan() {
    lambdas();
    try {
      for (Role role : Role.values()) {
        open(role, request.input(role));
      }
      if (models.size() < Role.values().length) {
        throw new TransferException(problems);
      }
      return matched();
    } catch (RuntimeException e) {
      models.values().forEach(SourceModel::close);
      throw e;
    }
  }

  private void lambdas() {
    List<Double> lambdas = request.lambdas();
    if (lambdas.isEmpty() || lambdas.size() > TransferRequest.MOST_LAMBDAS) {
      problems.add(
          lambdas.size()
              + " values of lambda, but 1 to "
              + TransferRequest.MOST_LAMBDAS
              + " go through in one pass");
    }
    if (lambdas.stream().distinct().count() < lambdas.size()) {
      problems.add("lambda has the same value twice: " + lambdas);
    }
    for (double lambda : lambdas) {
      if (!Double.isFinite(lambda)) {
        problems.add("lambda is " + lambda + ", but must be a finite number");
      }
    }
  }

  /** What is wrong with some of the models and the factors, where the others can not be found. */
  List<String> problems(Set<Role> found) {
    lambdas();
    try {
      for (Role role : found) {
        open(role, request.input(role));
      }
    } finally {
      models.values().forEach(SourceModel::close);
    }
    return List.copyOf(problems);
  }

  private void open(Role role, TransferRequest.Input input) {
    try {
      SourceModel model = SourceModel.open(role, input.directory(), input.digest());
      models.put(role, model);
      problems.addAll(model.noWeights());
    } catch (TransferException e) {
      e.reasons().forEach(reason -> problems.add(role.word() + ": " + reason));
    } catch (EngineException e) {
      checkNow(role.word(), e);
      e.reasons().forEach(reason -> problems.add(role.word() + ": " + reason));
    }
  }

  /** A disk or a store that does not answer says nothing of the models: tried again later. */
  private static void checkNow(String what, EngineException e) {
    if (TransferException.isOfEnvironment(e)) {
      throw new TransferException(what + ": " + e.getMessage(), e);
    }
  }

  private SourceModel model(Role role) {
    return Objects.requireNonNull(models.get(role));
  }

  private TransferPlan matched() {
    SourceModel target = model(Role.TARGET);
    alignment = align();
    List<TransferPlan.Shard> shards = shards(target);
    List<String> dropped = new ArrayList<>();
    for (Role role : List.of(Role.BASE, Role.FINE_TUNED)) {
      for (SourceModel.Tensor tensor : model(role).tensors().values()) {
        if (!usedOf(role).contains(tensor.name())) {
          unused(role, tensor, dropped);
        }
      }
    }
    Map<String, byte[]> texts = Map.of();
    try {
      texts = ReleaseTexts.of(target, model(Role.FINE_TUNED), policies, alignment, problems);
    } catch (EngineException e) {
      checkNow("texts", e);
      problems.add(e.getMessage());
    }
    for (String renamed : policies.renamed().keySet()) {
      if (!target.tensors().containsKey(renamed)) {
        problems.add(
            "'" + SafetensorsFile.printable(renamed) + "' is renamed, but not in the target");
      }
    }
    TransferException.refuse(problems);
    return new TransferPlan(
        request, models, shards, notRead(shards), dropped.stream().distinct().toList(), texts);
  }

  /** As the target's; a buffer that stands in several of its shards is in the first one only. */
  private List<TransferPlan.Shard> shards(SourceModel target) {
    List<TransferPlan.Shard> shards = new ArrayList<>();
    Set<String> planned = new HashSet<>();
    for (SourceModel.InputFile file : target.files()) {
      List<TensorPlan> tensors = new ArrayList<>();
      for (SourceModel.Tensor tensor : target.inOrder(file)) {
        if (planned.add(tensor.name())) {
          tensors.add(tensor(tensor));
        }
      }
      if (!tensors.isEmpty()) {
        shards.add(new TransferPlan.Shard(file.name(), List.copyOf(tensors)));
      }
    }
    return shards;
  }

  /** Tensors of base and fine-tuned that nothing reads, but that count for their digests. */
  private List<SourceModel.Tensor> notRead(List<TransferPlan.Shard> shards) {
    Set<SourceModel.Tensor> read = new HashSet<>();
    shards.forEach(shard -> shard.tensors().forEach(plan -> read.addAll(plan.treatment().reads())));
    return Stream.of(Role.BASE, Role.FINE_TUNED)
        .flatMap(role -> model(role).tensors().values().stream())
        .filter(tensor -> !read.contains(tensor) && !SafetensorsShards.isBuffer(tensor.name()))
        .toList();
  }

  private void unused(Role role, SourceModel.Tensor tensor, List<String> dropped) {
    String name = tensor.name();
    if (isHead(name)
        && policies.tiedHead() == Policies.TiedHead.EMBEDDINGS
        && embeddings(Role.TARGET).isPresent()
        && !model(Role.TARGET).tensors().containsKey(name)) {
      dropped.add(name);
    } else if (SafetensorsShards.isBuffer(name) || policies.missing() == Policies.Missing.TARGET) {
      dropped.add(name);
    } else if (isHead(name) && !model(Role.TARGET).tensors().containsKey(name)) {
      problems.add(
          "the "
              + role.word()
              + " model stores the head '"
              + name
              + "', the target ties it to its embeddings: choose tied-head embeddings");
    } else {
      problems.add(
          "'"
              + SafetensorsFile.printable(name)
              + "' of the "
              + role.word()
              + " model has no counterpart in the target");
    }
  }

  private TensorPlan tensor(SourceModel.Tensor target) {
    String name = target.name();
    if (SafetensorsShards.isBuffer(name)) {
      // What base and fine-tuned have under that name is ignored, too.
      return keep(target, "a buffer that the config determines");
    }
    String source = policies.renamed().getOrDefault(name, name);
    Optional<SourceModel.Tensor> base = find(Role.BASE, source);
    Optional<SourceModel.Tensor> fineTuned = find(Role.FINE_TUNED, source);
    if (base.isEmpty() || fineTuned.isEmpty()) {
      if (policies.missing() == Policies.Missing.FAIL) {
        problems.add(missing(name, source, base.isPresent(), fineTuned.isPresent()));
      }
      return keep(target, "not in base and fine-tuned");
    }
    SourceModel.Tensor b = base.get();
    SourceModel.Tensor f = fineTuned.get();
    boolean floats = List.of(target, b, f).stream().allMatch(t -> FLOATS.contains(t.dtype()));
    if (!floats) {
      return noFloats(target, b, f);
    }
    if (alignment.isPresent() && hasTokenRows(name)) {
      return rows(target, b, f, alignment.get());
    }
    if (!target.shape().equals(b.shape()) || !target.shape().equals(f.shape())) {
      if (policies.shapes() == Policies.Shapes.FAIL) {
        problems.add(shapes(target, b, f));
      }
      return keep(target, "shapes differ");
    }
    return plan(target, target.shape(), new TensorPlan.Merge(target, b, f));
  }

  private TensorPlan noFloats(
      SourceModel.Tensor target, SourceModel.Tensor b, SourceModel.Tensor f) {
    for (SourceModel.Tensor tensor : List.of(target, b, f)) {
      if (OTHER_FLOATS.contains(tensor.dtype())) {
        problems.add(
            "'"
                + SafetensorsFile.printable(tensor.name())
                + "' is "
                + tensor.dtype()
                + " in "
                + tensor.input().file().file().path()
                + ", but F32, F16 and BF16 are transferred");
        return keep(target, "not transferred");
      }
    }
    if (!b.dtype().equals(f.dtype())
        || !b.shape().equals(f.shape())
        || !b.dtype().equals(target.dtype())) {
      problems.add(
          "'"
              + SafetensorsFile.printable(target.name())
              + "' is "
              + b.dtype()
              + " in base, "
              + f.dtype()
              + " in the fine-tuned model and "
              + target.dtype()
              + " in the target");
    }
    return plan(target, target.shape(), new TensorPlan.KeepEqual(target, b, f));
  }

  private TensorPlan rows(
      SourceModel.Tensor target,
      SourceModel.Tensor b,
      SourceModel.Tensor f,
      VocabularyAlignment aligned) {
    List<Long> row = rest(target);
    if (target.shape().isEmpty()
        || b.shape().isEmpty()
        || f.shape().isEmpty()
        || !row.equals(rest(b))
        || !row.equals(rest(f))) {
      if (policies.shapes() == Policies.Shapes.FAIL) {
        problems.add(shapes(target, b, f));
      }
      return keep(target, "shapes differ");
    }
    RowMap map = aligned.map(target.shape().get(0), b.shape().get(0), f.shape().get(0));
    if (target.shape().get(0) > map.rows()) {
      problems.add(
          "'"
              + SafetensorsFile.printable(target.name())
              + "' has "
              + target.shape().get(0)
              + " rows in the target, the result's embeddings "
              + map.rows()
              + ": the rows after these belong to no token of it, and are not dropped unasked; cut"
              + " them off, or pad the embeddings, too");
    }
    List<Long> shape = new ArrayList<>(row);
    shape.add(0, (long) map.rows());
    for (int i = 0; i < map.rows(); i++) {
      if (map.target()[i] == RowMap.NONE && map.fineTuned()[i] == RowMap.NONE) {
        problems.add(
            "row "
                + i
                + " of '"
                + SafetensorsFile.printable(target.name())
                + "' would have no source: the embeddings have fewer rows than the tokenizer");
        break;
      }
    }
    return plan(target, shape, new TensorPlan.MergeRows(target, b, f, map));
  }

  private static List<Long> rest(SourceModel.Tensor tensor) {
    return tensor.shape().isEmpty() ? List.of() : tensor.shape().subList(1, tensor.shape().size());
  }

  private static TensorPlan keep(SourceModel.Tensor target, String why) {
    return plan(target, target.shape(), new TensorPlan.Keep(target, why));
  }

  private static TensorPlan plan(
      SourceModel.Tensor target, List<Long> shape, TensorPlan.Treatment treatment) {
    return new TensorPlan(target.name(), target.dtype(), shape, treatment);
  }

  /** By name, or the embeddings where a head is not stored and the policy says so. */
  private Optional<SourceModel.Tensor> find(Role role, String name) {
    SourceModel.Tensor found = model(role).tensors().get(name);
    if (found == null
        && name.endsWith(".weight")
        && isHead(name)
        && policies.tiedHead() == Policies.TiedHead.EMBEDDINGS) {
      found = embeddings(role).orElse(null);
    }
    if (found == null) {
      return Optional.empty();
    }
    usedOf(role).add(found.name());
    return Optional.of(found);
  }

  private Set<String> usedOf(Role role) {
    return used.computeIfAbsent(role, any -> new HashSet<>());
  }

  private Optional<SourceModel.Tensor> embeddings(Role role) {
    return model(role).tensors().values().stream()
        .filter(tensor -> ends(tensor.name(), EMBEDDINGS))
        .findFirst();
  }

  private static boolean isHead(String name) {
    return ends(name, HEADS);
  }

  private static boolean hasTokenRows(String name) {
    return isHead(name) || ends(name, EMBEDDINGS);
  }

  private static boolean ends(String name, List<String> suffixes) {
    return suffixes.stream().anyMatch(suffix -> name.equals(suffix) || name.endsWith("." + suffix));
  }

  private static String missing(String name, String source, boolean inBase, boolean inFineTuned) {
    String where =
        !inBase && !inFineTuned
            ? "neither in base nor in the fine-tuned model"
            : inBase ? "not in the fine-tuned model" : "not in base";
    return "'"
        + SafetensorsFile.printable(source)
        + "' is "
        + where
        + (isHead(name) ? ": is the head tied there? then choose tied-head embeddings" : "");
  }

  private static String shapes(
      SourceModel.Tensor target, SourceModel.Tensor b, SourceModel.Tensor f) {
    return "'"
        + SafetensorsFile.printable(target.name())
        + "' has shape "
        + b.shape()
        + " in base, "
        + f.shape()
        + " in the fine-tuned model, "
        + target.shape()
        + " in the target";
  }

  /** Empty where the three tokenizers have the same tokens at the same rows. */
  private Optional<VocabularyAlignment> align() {
    Map<Role, Vocabulary> vocabularies = new HashMap<>();
    List<byte[]> same = new ArrayList<>();
    for (Role role : Role.values()) {
      try {
        byte[] bytes = model(role).text("tokenizer.json").orElse(new byte[0]);
        if (bytes.length == 0) {
          problems.add(
              "the "
                  + role.word()
                  + " model has no tokenizer.json: which rows belong"
                  + " together can not be known");
          continue;
        }
        if (!same.isEmpty() && Arrays.equals(same.get(0), bytes)) {
          vocabularies.put(role, Objects.requireNonNull(vocabularies.get(Role.BASE)));
          continue;
        }
        vocabularies.put(
            role,
            Vocabulary.read(
                model(role).json("tokenizer.json"),
                model(role).directory().resolve("tokenizer.json").toString()));
        if (role == Role.BASE) {
          same.add(bytes);
        }
      } catch (TransferException e) {
        problems.add(String.valueOf(e.getMessage()));
      } catch (EngineException e) {
        checkNow("tokenizer of " + role.word(), e);
        problems.add(String.valueOf(e.getMessage()));
      }
    }
    Vocabulary base = vocabularies.get(Role.BASE);
    Vocabulary fineTuned = vocabularies.get(Role.FINE_TUNED);
    Vocabulary target = vocabularies.get(Role.TARGET);
    if (base == null || fineTuned == null || target == null) {
      return Optional.empty();
    }
    boolean equal = base.ids().equals(target.ids()) && fineTuned.ids().equals(target.ids());
    if (policies.vocabulary() == Policies.Vocabularies.FAIL) {
      if (!equal) {
        problems.add(
            "the vocabularies differ (base "
                + base.ids().size()
                + " tokens, fine-tuned "
                + fineTuned.ids().size()
                + ", target "
                + target.ids().size()
                + "): choose vocabulary align to put rows together by token");
      }
      return Optional.empty();
    }
    Optional<SourceModel.Tensor> embeddings = embeddings(Role.TARGET);
    if (embeddings.isEmpty()) {
      problems.add("the target has no embeddings of a known name: its rows can not be aligned");
      return Optional.empty();
    }
    boolean sameRows =
        List.of(Role.BASE, Role.FINE_TUNED).stream()
            .allMatch(
                role ->
                    embeddings(role)
                        .map(SourceModel.Tensor::shape)
                        .equals(embeddings.map(SourceModel.Tensor::shape)));
    return equal && sameRows
        ? Optional.empty()
        : Optional.of(
            VocabularyAlignment.of(
                base,
                fineTuned,
                target,
                Math.toIntExact(embeddings.get().shape().get(0)),
                policies,
                problems));
  }
}
