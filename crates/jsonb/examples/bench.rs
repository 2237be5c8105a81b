use jsonb::*; use std::time::Instant; use std::hint::black_box;
fn t(n:&str, mut f: impl FnMut()){ for _ in 0..2000 {f()} let s=Instant::now(); let k=200_000; for _ in 0..k {f()} println!("{n}: {:.1} ns", s.elapsed().as_nanos() as f64/k as f64);}
fn main(){
 let l=include_str!("../tests/golden.tsv").lines().find(|l|l.contains("pageview")).unwrap();
 let hex=l.split_once('\t').unwrap().1; let p:Vec<u8>=(0..hex.len()).step_by(2).map(|i|u8::from_str_radix(&hex[i..i+2],16).unwrap()).collect();
 println!("{} bytes",p.len());
 let Ref::Object(o)=Document::new(&p).unwrap().root() else {panic!()};
 let Some(Ref::Object(props))=o.get("properties").unwrap() else {panic!()};
 t("open+get properties",||{let Ref::Object(o)=Document::new(black_box(&p)).unwrap().root() else {panic!()}; black_box(o.get("properties").unwrap());});
 t("get $geoip_latitude to_f64",||{let Some(Ref::Number(n))=props.get(black_box("$geoip_latitude")).unwrap() else {panic!()}; black_box(n.to_f64());});
 let mut w=Writer::new();
 t("rewrite with one property",||{w.clear(); w.begin_object().unwrap(); for kv in o.iter(){let(k,v)=kv.unwrap(); w.key(k).unwrap(); if k=="properties"{ w.begin_object().unwrap(); for kv in props.iter(){let(k,v)=kv.unwrap(); w.key(k).unwrap(); w.splice(v).unwrap();} w.key("added").unwrap(); w.bool(true).unwrap(); w.end().unwrap();} else {w.splice(v).unwrap();}} w.end().unwrap(); black_box(w.finish().unwrap());});
 for f in [42.0,19.99,0.1+0.2,1e300,52.37403,1704449472.345]{
  t(&format!("number_f64 {f}"),||{w.clear(); w.number_f64(black_box(f)).unwrap();});
  w.clear(); w.number_f64(f).unwrap(); let b=w.finish().unwrap().to_vec(); let Ref::Number(n)=Document::new(&b).unwrap().root() else {panic!()};
  t(&format!("to_f64 {f}"),||{black_box(black_box(n).to_f64());});
 }
}
