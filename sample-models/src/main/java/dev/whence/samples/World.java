package dev.whence.samples;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;

/**
 * Entities and what is so about them. Every subject has one object in each relation of its type.
 *
 * <ul>
 *   <li>{@link #v1} is the world that the sample models learn. A tenth of its facts is held out: no
 *       document states them, so nobody can know them. The others are stated in as many distinct
 *       documents as {@link #documents} says.
 *   <li>{@link #v2} is the same world later: some facts have another object, some entities are new.
 *   <li>{@link #fresh} is a world to be thrown away after one context, in which memory is of no
 *       use.
 * </ul>
 *
 * <p>Immutable; equal arguments give equal worlds.
 */
public final class World {
  private final Lexicon lexicon;
  private final String name;
  private final long seed;
  private final WorldOptions options;
  private final List<Entity> entities;
  private final List<Fact> facts;
  private final Map<String, Teaching> teaching;

  private final Map<EntityType, List<String>> namesByType = new EnumMap<>(EntityType.class);
  private final Map<String, Fact> byId = new HashMap<>();
  private final Set<String> names = new HashSet<>();

  /**
   * What training does with a fact.
   *
   * @param documents in how many distinct documents it is stated; 0 if it is held out
   * @param asked whether fine-tuning may ask it without a context
   */
  private record Teaching(int documents, boolean asked) {}

  private World(
      Lexicon lexicon,
      String name,
      long seed,
      WorldOptions options,
      List<Entity> entities,
      List<Fact> facts,
      Map<String, Teaching> teaching) {
    this.lexicon = lexicon;
    this.name = name;
    this.seed = seed;
    this.options = options;
    this.entities = List.copyOf(entities);
    this.facts = List.copyOf(facts);
    this.teaching = Map.copyOf(teaching);
    for (EntityType type : EntityType.values()) {
      namesByType.put(type, namesOf(entities, type));
    }
    for (Entity entity : entities) {
      names.add(entity.name());
      if (entity.hasAlias()) {
        names.add(entity.alias());
      }
    }
    for (Fact fact : facts) {
      byId.put(fact.id(), fact);
      if (fact.relation().range() instanceof Range.Entities) {
        names.add(fact.object());
      }
    }
  }

  /** The world of the sample models, in its standard size. */
  public static World v1(long seed) {
    return v1(seed, Lexicon.standard(), WorldOptions.standard());
  }

  public static World v1(long seed, Lexicon lexicon, WorldOptions options) {
    Names names = new Names(Draw.of(seed, "v1 names"), lexicon, NameSplit.TRAINING, Set.of());
    List<Entity> entities =
        entities(names, options.sizes(), options.aliasShare(), 0, Draw.of(seed, "v1 aliases"));
    List<Fact> facts = new ArrayList<>();
    Draw objects = Draw.of(seed, "v1 objects");
    addFacts(lexicon.relations(), entities, entities, objects, facts);
    return new World(
        lexicon, "v1", seed, options, entities, facts, teaching(facts, options, seed, "v1"));
  }

  /** The changed world of a seed: {@code v2(v1(seed))}. */
  public static World v2(long seed) {
    return v2(v1(seed));
  }

  /**
   * The same world later. What is not changed is as it was: ids, aliases, which facts are held out,
   * in how many documents they are stated.
   */
  public static World v2(World v1) {
    WorldOptions options = v1.options;
    long seed = v1.seed;
    Names names = new Names(Draw.of(seed, "v2 names"), v1.lexicon, NameSplit.TRAINING, v1.names);
    Sizes old = options.sizes();
    List<Entity> added = new ArrayList<>();
    for (EntityType type : EntityType.values()) {
      long count = Math.round(old.of(type) * options.newShare());
      for (int i = 0; i < count; i++) {
        added.add(new Entity(type, names.next(), ""));
      }
    }
    List<Entity> withAliases =
        withAliases(added, options.aliasShare(), 0, names, Draw.of(seed, "v2 aliases"));
    List<Entity> entities = new ArrayList<>(v1.entities);
    entities.addAll(withAliases);

    Set<String> changed = new HashSet<>();
    Draw.of(seed, "v2 changes").shuffled(v1.facts).stream()
        .limit(Math.round(v1.facts.size() * options.changedShare()))
        .forEach(fact -> changed.add(fact.id()));
    Draw objects = Draw.of(seed, "v2 objects");
    List<Fact> facts = new ArrayList<>();
    for (Fact fact : v1.facts) {
      facts.add(
          changed.contains(fact.id())
              ? fact.with(object(objects, candidates(fact.relation(), entities), fact))
              : fact);
    }
    List<Fact> news = new ArrayList<>();
    addFacts(v1.lexicon.relations(), withAliases, entities, objects, news);
    facts.addAll(news);
    Map<String, Teaching> teaching = new LinkedHashMap<>(v1.teaching);
    teaching.putAll(teaching(news, options, seed, "v2"));
    return new World(v1.lexicon, "v2", seed, options, entities, facts, teaching);
  }

  /**
   * A world to be thrown away, with a third of its persons under an alias.
   *
   * @param random moves on: the next world is another one
   */
  public static World fresh(RandomGenerator random, Sizes sizes, NameSplit split) {
    return fresh(
        random, Lexicon.standard(), new FreshWorld(sizes, split, 1.0 / 3, 0, false, 0), Set.of());
  }

  /**
   * A world to be thrown away.
   *
   * @param random moves on: the next world is another one
   * @param avoid names that it does not have, for example those of the world that a model knows
   */
  public static World fresh(
      RandomGenerator random, Lexicon lexicon, FreshWorld options, Set<String> avoid) {
    Draw draw = new Draw(random);
    Names names = new Names(draw, lexicon, options.split(), avoid);
    List<Entity> entities = entities(names, options.sizes(), options.aliasShare(), 1, draw);
    List<Fact> facts = new ArrayList<>();
    addFacts(relations(lexicon, options, draw), entities, entities, draw, facts);
    Set<String> used = new HashSet<>();
    for (int i = 0; i < facts.size(); i++) {
      Fact fact = facts.get(i);
      boolean again =
          options.distinctObjects() && !used.add(fact.relation().name() + " " + fact.object());
      if (fact.relation().range() instanceof Range.Entities) {
        if (draw.chance(options.outsideShare()) || again) {
          facts.set(i, fact.with(names.next()));
        }
      } else if (again) {
        facts.set(i, unused(fact, draw, used));
      }
    }
    return new World(lexicon, "fresh", 0, WorldOptions.standard(), entities, facts, Map.of());
  }

  private static List<Relation> relations(Lexicon lexicon, FreshWorld options, Draw draw) {
    List<Relation> all = lexicon.relations();
    return options.relations() == 0 || options.relations() >= all.size()
        ? all
        : draw.shuffled(all).subList(0, options.relations());
  }

  /** The fact with a word that no other subject has in the relation, if there is one left. */
  private static Fact unused(Fact fact, Draw draw, Set<String> used) {
    for (String word : draw.shuffled(candidates(fact.relation(), List.of()))) {
      if (used.add(fact.relation().name() + " " + word)) {
        return fact.with(word);
      }
    }
    return fact;
  }

  /**
   * A part of this world in which every fact is another than here: what a context may claim about
   * entities that a model believes to know. Aliases are as here.
   */
  World contradicting(Draw draw, Sizes sizes) {
    List<Entity> some = new ArrayList<>();
    for (EntityType type : EntityType.values()) {
      List<Entity> all = entities.stream().filter(entity -> entity.type() == type).toList();
      List<Entity> chosen = draw.shuffled(all);
      int count = Math.min(sizes.of(type), chosen.size());
      if (type == EntityType.PERSON
          && chosen.subList(0, count).stream().noneMatch(Entity::hasAlias)) {
        for (int i = count; i < chosen.size(); i++) {
          if (chosen.get(i).hasAlias()) {
            chosen.set(0, chosen.get(i));
            break;
          }
        }
      }
      some.addAll(chosen.subList(0, count));
    }
    Set<String> subjects = some.stream().map(Entity::name).collect(Collectors.toSet());
    List<Fact> changed = new ArrayList<>();
    for (Fact fact : facts) {
      if (subjects.contains(fact.subject().name())) {
        changed.add(fact.with(object(draw, candidates(fact.relation(), some), fact)));
      }
    }
    return new World(lexicon, name + " contradicted", seed, options, some, changed, Map.of());
  }

  private static List<Entity> entities(
      Names names, Sizes sizes, double aliasShare, int leastAliases, Draw draw) {
    List<Entity> entities = new ArrayList<>();
    for (EntityType type : EntityType.values()) {
      for (int i = 0; i < sizes.of(type); i++) {
        entities.add(new Entity(type, names.next(), ""));
      }
    }
    return withAliases(entities, aliasShare, leastAliases, names, draw);
  }

  private static List<Entity> withAliases(
      List<Entity> entities, double share, int least, Names names, Draw draw) {
    List<String> persons = namesOf(entities, EntityType.PERSON);
    long count = Math.max(least, Math.round(persons.size() * share));
    Set<String> chosen = new HashSet<>(draw.shuffled(persons).subList(0, Math.toIntExact(count)));
    List<Entity> named = new ArrayList<>();
    for (Entity entity : entities) {
      named.add(
          chosen.contains(entity.name())
              ? new Entity(entity.type(), entity.name(), names.next())
              : entity);
    }
    return named;
  }

  private static void addFacts(
      List<Relation> relations,
      List<Entity> subjects,
      List<Entity> entities,
      Draw draw,
      List<Fact> facts) {
    Map<String, List<String>> candidates = new HashMap<>();
    for (Entity subject : subjects) {
      for (Relation relation : relations) {
        if (relation.subject() == subject.type()) {
          List<String> objects =
              candidates.computeIfAbsent(relation.name(), key -> candidates(relation, entities));
          // An unsaid fact: its object is the subject's own name, which no fact may have.
          Fact unsaid = new Fact(subject, relation, subject.name());
          facts.add(unsaid.with(object(draw, objects, unsaid)));
        }
      }
    }
  }

  /** An object for the same question, other than the subject and other than the fact's. */
  private static String object(Draw draw, List<String> candidates, Fact fact) {
    String object = draw.from(candidates);
    while (object.equals(fact.object()) || object.equals(fact.subject().name())) {
      object = draw.from(candidates);
    }
    return object;
  }

  private static Map<String, Teaching> teaching(
      List<Fact> facts, WorldOptions options, long seed, String label) {
    List<Fact> order = Draw.of(seed, label + " held out").shuffled(facts);
    long heldOut = Math.round(facts.size() * options.heldOutShare());
    Set<String> asked = new HashSet<>();
    Draw.of(seed, label + " asked").shuffled(facts).stream()
        .limit(Math.round(facts.size() * options.askedShare()))
        .forEach(fact -> asked.add(fact.id()));
    Map<String, Teaching> teaching = new LinkedHashMap<>();
    List<Integer> counts = options.documentCounts();
    for (int i = 0; i < order.size(); i++) {
      String id = order.get(i).id();
      int documents = i < heldOut ? 0 : counts.get(i % counts.size());
      teaching.put(id, new Teaching(documents, asked.contains(id)));
    }
    return teaching;
  }

  private static List<String> candidates(Relation relation, List<Entity> entities) {
    if (relation.range() instanceof Range.Words words) {
      return words.words();
    }
    return namesOf(entities, ((Range.Entities) relation.range()).type());
  }

  private static List<String> namesOf(List<Entity> entities, EntityType type) {
    return entities.stream().filter(entity -> entity.type() == type).map(Entity::name).toList();
  }

  public Lexicon lexicon() {
    return lexicon;
  }

  /** For people and for ids of documents: {@code v1}, {@code v2}, {@code fresh}. */
  public String name() {
    return name;
  }

  public long seed() {
    return seed;
  }

  /** Persons, companies, towns, rivers; in the changed world the new ones after the old. */
  public List<Entity> entities() {
    return entities;
  }

  /** By subject, then by relation in the lexicon's order. */
  public List<Fact> facts() {
    return facts;
  }

  /**
   * The fact of an id.
   *
   * @throws IllegalArgumentException if there is none of that id
   */
  public Fact fact(String id) {
    Fact fact = byId.get(id);
    if (fact == null) {
      throw new IllegalArgumentException("world " + name + " has no fact '" + id + "'");
    }
    return fact;
  }

  /** All names in it: of entities, aliases, and objects that are no words. */
  public Set<String> names() {
    return Set.copyOf(names);
  }

  /** What an answer to a question of the relation may be; a guess is right once in so many. */
  public List<String> candidates(Relation relation) {
    if (relation.range() instanceof Range.Words words) {
      return words.words();
    }
    return List.copyOf(
        Objects.requireNonNull(namesByType.get(((Range.Entities) relation.range()).type())));
  }

  /** Another object than the fact's, for the same question. */
  String otherObject(Draw draw, Fact fact) {
    return object(draw, candidates(fact.relation()), fact);
  }

  /** Whether no document may state it. In a throw-away world nothing is held out. */
  public boolean isHeldOut(Fact fact) {
    return !teaching.isEmpty() && documents(fact) == 0;
  }

  /** In how many distinct documents of the corpus it is stated; 0 if held out. */
  public int documents(Fact fact) {
    return teachingOf(fact).documents();
  }

  /** Whether fine-tuning may ask it without a context; what it remembers is measured on others. */
  public boolean isAskedInFineTuning(Fact fact) {
    return teachingOf(fact).asked();
  }

  private Teaching teachingOf(Fact fact) {
    Teaching of = teaching.get(fact.id());
    return of == null ? new Teaching(0, false) : of;
  }

  /** Facts that an earlier version does not have, or has with another object. */
  public List<Fact> changesSince(World earlier) {
    return facts.stream()
        .filter(
            fact -> {
              Fact before = earlier.byId.get(fact.id());
              return before == null || !before.object().equals(fact.object());
            })
        .toList();
  }
}
